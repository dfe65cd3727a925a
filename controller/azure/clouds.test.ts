import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cloudNamed } from './clouds.ts';

test('every name that aad-pod-identity took finds its cloud, in any case', () => {
  for (const [name, arm, entra] of [
    ['AzurePublicCloud', 'https://management.azure.com', 'https://login.microsoftonline.com'],
    ['azurecloud', 'https://management.azure.com', 'https://login.microsoftonline.com'],
    ['AZUREUSGOVERNMENT', 'https://management.usgovcloudapi.net', 'https://login.microsoftonline.us'],
    ['AzureUSGovernmentCloud', 'https://management.usgovcloudapi.net', 'https://login.microsoftonline.us'],
    ['AzureChinaCloud', 'https://management.chinacloudapi.cn', 'https://login.chinacloudapi.cn'],
  ] as const) {
    const cloud = cloudNamed(name);
    assert.equal(cloud?.resourceManager, arm, name);
    assert.equal(cloud?.resourceManagerScope, `${arm}/.default`, name);
    assert.equal(cloud?.authority, entra, name);
  }
});

test('an unknown cloud needs both endpoints, and then takes its tokens for its own Resource Manager', () => {
  for (const name of ['', 'AzureGermanCloud', 'constructor']) assert.equal(cloudNamed(name), undefined, name);
  assert.equal(cloudNamed('AzureStackCloud', { armEndpoint: 'https://management.local' }), undefined);
  assert.equal(
    cloudNamed('AzureStackCloud', { armEndpoint: 'https://management.local/', entraEndpoint: 'https://login.local/' })
      ?.resourceManagerScope,
    'https://management.local/.default',
  );
});

test('a known cloud behind another address keeps its audience', () => {
  const cloud = cloudNamed('AzurePublicCloud', { armEndpoint: 'https://localhost:1234/', entraEndpoint: '' });
  assert.equal(cloud?.resourceManager, 'https://localhost:1234');
  assert.equal(cloud?.resourceManagerScope, 'https://management.azure.com/.default');
  assert.equal(cloud?.authority, 'https://login.microsoftonline.com');
});
