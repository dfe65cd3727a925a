import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SettingsError } from '../lib/settings.ts';
import { connectEntra } from './entra.ts';

const none = { cloud: '', entraEndpoint: '', azureCaFile: '', customUserAgent: '' };

test('signs in at the Entra of the named cloud, by default of the public one', () => {
  assert.equal(connectEntra(none).authority, 'https://login.microsoftonline.com');
  assert.equal(connectEntra({ ...none, cloud: 'AzureUSGovernmentCloud' }).authority, 'https://login.microsoftonline.us');
});

test('signs in at the endpoint that is set, in a cloud of any name', () => {
  for (const cloud of ['', 'AzureChinaCloud', 'AzureStackCloud'])
    assert.equal(connectEntra({ ...none, cloud, entraEndpoint: 'https://entra.local/' }).authority, 'https://entra.local');
});

test('refuses an unknown cloud and an unreadable CA file in one line', () => {
  for (const [changes, expected] of [
    [{ cloud: 'AzureGermanCloud' }, /^--cloud is 'AzureGermanCloud', which was closed in 2021: accepted is AzurePublicCloud/],
    [{ cloud: 'AzureStackCloud' }, /^--cloud is 'AzureStackCloud': .* or any name with --entra-endpoint$/],
    [{ azureCaFile: '/nowhere/ca.pem' }, /^--azure-ca-file is '\/nowhere\/ca.pem', which cannot be read \(ENOENT\)/],
  ] as const)
    assert.throws(
      () => connectEntra({ ...none, ...changes }),
      (error) => error instanceof SettingsError && expected.test(error.message),
    );
});
