import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '../../lib/log.ts';
import { SettingsError } from '../../lib/settings.ts';
import type { AzureSettings } from './connect.ts';
import { connectAzure } from './connect.ts';

const settings: AzureSettings = {
  cloud: '',
  cloudConfig: '',
  azureEnvironmentFilepath: '',
  customUserAgent: '',
  armEndpoint: '',
  entraEndpoint: '',
  imdsEndpoint: 'http://127.0.0.1:9',
  azureCaFile: '',
  armApiVersion: '',
  armPollInterval: 2000,
  tenantId: '',
  clientId: '',
  clientSecretFile: '',
  clientCertificateFile: '',
  clientCertificatePasswordFile: '',
  federatedTokenFile: '',
  useMsi: true,
  userAssignedMsiClientId: '',
};

test('takes the cloud from the setting, else from azure.json, else the public one', async (t) => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'connect-'));
  t.after(() => rm(folder, { recursive: true }));
  const cloudConfig = path.join(folder, 'azure.json');
  await writeFile(
    cloudConfig,
    JSON.stringify({ cloud: 'AzureChinaCloud', useManagedIdentityExtension: true, userAssignedIdentityID: 'kubelet' }),
  );
  const cloudOf = (changes: Partial<AzureSettings>) => connectAzure({ ...settings, ...changes }, silentLogger, {}).cloud.name;
  assert.equal(cloudOf({}), 'AzurePublicCloud');
  assert.equal(cloudOf({ cloudConfig }), 'AzureChinaCloud');
  assert.equal(cloudOf({ cloudConfig, cloud: 'AzureUSGovernmentCloud' }), 'AzureUSGovernmentCloud');
  // The client id of the sign-in is known, so that this identity is never detached.
  assert.equal(connectAzure({ ...settings, useMsi: false, cloudConfig }, silentLogger, {}).ownClientId(), 'kubelet');
});

test('reads the file of AzureStackCloud, and of no other cloud', async (t) => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'connect-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = path.join(folder, 'akscustom.json');
  const cloudConfig = path.join(folder, 'azure.json');
  await writeFile(file, JSON.stringify({ resourceManagerEndpoint: 'https://arm.local/', activeDirectoryEndpoint: 'https://entra.local/' }));
  await writeFile(cloudConfig, JSON.stringify({ cloud: 'AzureStackCloud' }));
  const cloudOf = (changes: Partial<AzureSettings>) =>
    connectAzure({ ...settings, azureEnvironmentFilepath: file, ...changes }, silentLogger, {}).cloud;
  for (const changes of [{ cloud: 'azurestackcloud' }, { cloudConfig }]) {
    const { resourceManager, authority } = cloudOf(changes);
    assert.deepEqual([resourceManager, authority], ['https://arm.local', 'https://entra.local']);
  }
  assert.equal(cloudOf({ cloud: 'AzureStackCloud', armEndpoint: 'https://other.local' }).resourceManager, 'https://other.local');
  assert.equal(cloudOf({ azureEnvironmentFilepath: '/nowhere' }).name, 'AzurePublicCloud');
});

test('refuses unusable settings at start in one line', () => {
  const refused: [Partial<AzureSettings>, Record<string, string>, RegExp][] = [
    [{ cloud: 'AzureGermanCloud' }, {}, /^--cloud is 'AzureGermanCloud', which was closed in 2021: accepted is AzurePublicCloud/],
    [{ cloud: 'AzureStackCloud' }, {}, /^--cloud is 'AzureStackCloud': .*AzureStackCloud with --azure-environment-filepath/],
    [
      { cloud: 'AzureStackCloud', azureEnvironmentFilepath: '/nowhere' },
      {},
      /^--azure-environment-filepath is '\/nowhere', which cannot be read/,
    ],
    [{ cloudConfig: '/nowhere/azure.json' }, {}, /^--cloud-config is '\/nowhere\/azure.json', which cannot be read \(ENOENT\)/],
    [{ azureCaFile: '/nowhere/ca.pem' }, {}, /^--azure-ca-file is '\/nowhere\/ca.pem', which cannot be read/],
    [{}, { AZURE_AUTHORITY_HOST: 'http://login.example' }, /^the address of Entra is 'http:\/\/login.example': accepted is an https URL/],
    [{ useMsi: false }, {}, /^no way to sign in to Azure/],
  ];
  for (const [changes, env, expected] of refused)
    assert.throws(
      () => connectAzure({ ...settings, ...changes }, silentLogger, env),
      (error) => error instanceof SettingsError && expected.test(error.message) && !error.message.includes('\n'),
    );
});
