import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SettingsError } from '../settings.ts';
import { cloudNamed, customCloud } from './clouds.ts';

test('finds a cloud by every name that aad-pod-identity takes, in any case', () => {
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

test('requires both endpoints of an unknown cloud, whose audience is its own', () => {
  for (const name of ['', 'AzureGermanCloud', 'constructor']) assert.equal(cloudNamed(name), undefined, name);
  assert.equal(cloudNamed('AzureStackCloud', { armEndpoint: 'https://management.local' }), undefined);
  assert.equal(
    cloudNamed('AzureStackCloud', { armEndpoint: 'https://management.local/', entraEndpoint: 'https://login.local/' })
      ?.resourceManagerScope,
    'https://management.local/.default',
  );
});

test('keeps the audience of a known cloud behind another endpoint', () => {
  const cloud = cloudNamed('AzurePublicCloud', { armEndpoint: 'https://localhost:1234/', entraEndpoint: '' });
  assert.equal(cloud?.resourceManager, 'https://localhost:1234');
  assert.equal(cloud?.resourceManagerScope, 'https://management.azure.com/.default');
  assert.equal(cloud?.authority, 'https://login.microsoftonline.com');
});

test('reads endpoints and audience of a cloud from its JSON file', () => {
  const stack = {
    name: 'AzureStackCloud',
    managementPortalURL: 'https://portal.local.azurestack.external/',
    serviceManagementEndpoint: 'https://management.contoso.example/36f71706-54df-4305-9847-5b038a4cf189',
    resourceManagerEndpoint: 'https://management.local.azurestack.external/',
    activeDirectoryEndpoint: 'https://login.windows.net/',
    resourceIdentifiers: { graph: 'N/A' },
  };
  assert.deepEqual(customCloud(`\uFEFF${JSON.stringify(stack)}`, 'f'), {
    name: 'AzureStackCloud',
    resourceManager: 'https://management.local.azurestack.external',
    resourceManagerScope: `${stack.serviceManagementEndpoint}/.default`,
    authority: 'https://login.windows.net',
  });
  const audience = (changes: object) => customCloud(JSON.stringify({ ...stack, ...changes }), 'f').resourceManagerScope;
  assert.equal(audience({ tokenAudience: 'https://management.example/' }), 'https://management.example//.default');
  assert.equal(audience({ serviceManagementEndpoint: '' }), 'https://management.local.azurestack.external/.default');
});

test('refuses a file that describes no cloud with one line that says why', () => {
  const refused: [string, RegExp][] = [
    ['name: AzureStackCloud', /^--azure-environment-filepath f is not JSON/],
    ['[]', /^--azure-environment-filepath f has no resourceManagerEndpoint/],
    ['{"resourceManagerEndpoint": "https://arm"}', /has no activeDirectoryEndpoint/],
    ['{"resourceManagerEndpoint": "https://arm", "activeDirectoryEndpoint": 7}', /has no activeDirectoryEndpoint/],
  ];
  for (const [content, expected] of refused)
    assert.throws(
      () => customCloud(content, 'f'),
      (error) => error instanceof SettingsError && expected.test(error.message),
    );
});
