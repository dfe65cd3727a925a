import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SettingsError } from '../../settings.ts';
import type { SignInSettings } from './sign-in.ts';
import { chooseSignIn, parseAzureJson } from './sign-in.ts';

const none: SignInSettings = {
  tenantId: '',
  clientId: '',
  clientSecretFile: '',
  clientCertificateFile: '',
  clientCertificatePasswordFile: '',
  federatedTokenFile: '',
  useMsi: false,
  userAssignedMsiClientId: '',
};
const application = { tenantId: 'tenant', clientId: 'client' };
const json = (content: object) => parseAzureJson(JSON.stringify(content), 'azure.json');

test('chooses each kind of sign-in by settings', () => {
  assert.deepEqual(chooseSignIn({ ...none, useMsi: true }, {}, {}), { kind: 'managedIdentity', clientId: undefined });
  assert.deepEqual(chooseSignIn({ ...none, useMsi: true, userAssignedMsiClientId: 'id' }, {}, {}), {
    kind: 'managedIdentity',
    clientId: 'id',
  });
  assert.deepEqual(chooseSignIn({ ...none, ...application, clientSecretFile: '/s' }, {}, {}), {
    kind: 'secret',
    ...application,
    secret: { file: '/s' },
  });
  assert.deepEqual(chooseSignIn({ ...none, ...application, clientCertificateFile: '/c', clientCertificatePasswordFile: '/p' }, {}, {}), {
    kind: 'certificate',
    ...application,
    file: '/c',
    password: { file: '/p' },
  });
  assert.deepEqual(chooseSignIn({ ...none, ...application, federatedTokenFile: '/t' }, {}, {}), {
    kind: 'workloadIdentity',
    ...application,
    tokenFile: '/t',
  });
});

test('chooses by variables of aad-pod-identity and of the workload identity webhook', () => {
  assert.deepEqual(chooseSignIn({ ...none, ...application }, {}, { CLIENT_SECRET: 'x' }), {
    kind: 'secret',
    ...application,
    secret: { text: 'x' },
  });
  const webhook = { AZURE_CLIENT_ID: 'wi', AZURE_TENANT_ID: 'contoso.example', AZURE_FEDERATED_TOKEN_FILE: '/wi' };
  const expected = { kind: 'workloadIdentity', tenantId: 'contoso.example', clientId: 'wi', tokenFile: '/wi' };
  assert.deepEqual(chooseSignIn(none, {}, webhook), expected);
  assert.deepEqual(chooseSignIn(none, json({ useManagedIdentityExtension: true, aadClientId: 'msi' }), webhook), expected);
});

test('takes the placeholder msi of an adminsecret as a managed identity', () => {
  const placeholders = { ...none, tenantId: 'tenant', clientId: 'msi' };
  const expected = { kind: 'managedIdentity', clientId: 'own' };
  assert.deepEqual(chooseSignIn({ ...placeholders, userAssignedMsiClientId: 'own' }, {}, { CLIENT_SECRET: 'msi' }), expected);
  assert.deepEqual(chooseSignIn({ ...placeholders, useMsi: true, userAssignedMsiClientId: 'own' }, {}, { CLIENT_SECRET: 'msi' }), expected);
  assert.throws(() => chooseSignIn(none, json({ aadClientId: 'msi', aadClientSecret: 'msi' }), {}), /^SettingsError: no way to sign in/);
});

test('chooses by azure.json, ignoring unknown keys and placeholders', () => {
  const aks = {
    cloud: 'AzurePublicCloud',
    tenantId: 'tenant',
    aadClientId: 'msi',
    aadClientSecret: 'msi',
    vmType: 'vmss',
    excludeMasterFromStandardLB: null,
  };
  assert.deepEqual(chooseSignIn(none, json({ ...aks, useManagedIdentityExtension: true, userAssignedIdentityID: 'kubelet' }), {}), {
    kind: 'managedIdentity',
    clientId: 'kubelet',
  });
  assert.deepEqual(chooseSignIn(none, json({ ...aks, useManagedIdentityExtension: 'true' }), {}), {
    kind: 'managedIdentity',
    clientId: undefined,
  });
  const own = { tenantId: 'tenant', aadClientId: 'client' };
  assert.deepEqual(chooseSignIn(none, json({ ...own, aadClientSecret: 'x' }), {}), {
    kind: 'secret',
    ...application,
    secret: { text: 'x' },
  });
  assert.deepEqual(chooseSignIn(none, json({ ...own, aadClientCertPath: '/c', aadClientCertPassword: 'p' }), {}), {
    kind: 'certificate',
    ...application,
    file: '/c',
    password: { text: 'p' },
  });
  assert.deepEqual(chooseSignIn(none, json({ ...own, useFederatedWorkloadIdentityExtension: true, aadFederatedTokenFile: '/t' }), {}), {
    kind: 'workloadIdentity',
    ...application,
    tokenFile: '/t',
  });
});

test('refuses missing and conflicting settings in one line without a secret', () => {
  const refused: [() => unknown, RegExp][] = [
    [() => chooseSignIn(none, {}, {}), /^no way to sign in to Azure: accepted is .*--use-msi/],
    [() => chooseSignIn({ ...none, useMsi: true, clientSecretFile: '/s' }, {}, {}), /^--use-msi and --client-secret-file are set/],
    [() => chooseSignIn({ ...none, clientId: 'c' }, {}, { CLIENT_SECRET: 'hunter2' }), /^--tenant-id is missing/],
    [() => chooseSignIn({ ...none, tenantId: 't' }, {}, { CLIENT_SECRET: 'hunter2' }), /^--client-id is missing/],
    [() => chooseSignIn({ ...none, clientId: 'c', tenantId: '../x' }, {}, { CLIENT_SECRET: 'hunter2' }), /^--tenant-id is '\.\.\/x'/],
    [() => parseAzureJson('aadClientSecret: hunter2', 'f'), /^--cloud-config f is not JSON/],
    [() => parseAzureJson('["hunter2"]', 'f'), /^--cloud-config f is not a JSON object/],
    [() => parseAzureJson('{"aadClientSecret": {"x": "hunter2"}}', 'f'), /aadClientSecret is not a text/],
    [() => parseAzureJson('{"useManagedIdentityExtension": "yes"}', 'f'), /useManagedIdentityExtension is not true or false/],
  ];
  for (const [attempt, expected] of refused)
    assert.throws(attempt, (error) => {
      assert.ok(error instanceof SettingsError);
      assert.match(error.message, expected);
      assert.doesNotMatch(error.message, /hunter2|\n/);
      return true;
    });
});
