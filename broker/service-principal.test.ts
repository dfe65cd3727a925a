import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AzureIdentity, AzureIdentitySpec } from '../api/kinds.ts';
import type { ServicePrincipalRules } from '../lib/identities/service-principal.ts';
import { parseServicePrincipal } from './service-principal.ts';

const guid = 'cccccccc-0000-4000-8000-000000000001';
const rules: ServicePrincipalRules = {
  authority: 'https://login.own.example:8443',
  knownHosts: ['login.microsoftonline.com', 'login.microsoftonline.us'],
  allowCrossNamespaceSecrets: false,
  isAllowed: () => true,
};
const identity = (spec: AzureIdentitySpec): AzureIdentity => ({
  metadata: { namespace: 'team', name: 'sp' },
  spec: { type: 1, clientID: guid, tenantID: guid, clientPassword: { name: 'secret' }, ...spec },
});
const refusedBy = (spec: AzureIdentitySpec, message: RegExp, reason = 'InvalidServicePrincipal') =>
  assert.throws(() => parseServicePrincipal(identity(spec), rules), { code: 'token_failed', status: 400, reason, message });

test('takes the cloud of the cluster and the namespace of the identity by default', () => {
  assert.deepEqual(parseServicePrincipal(identity({ type: 2, clientID: ` ${guid}\n` }), rules), {
    type: 2,
    clientId: guid,
    tenantIds: [guid],
    authority: 'https://login.own.example:8443',
    secret: { namespace: 'team', name: 'secret' },
  });
});

test('asks identityPolicy with the very ids that it would sign in with', () => {
  const asked: unknown[] = [];
  const isAllowed = (subject: unknown) => asked.push(subject) === 0;
  const spec = { clientID: ` ${guid}`, tenantID: 'own.example ', auxiliaryTenantIDs: [' other.example'] };
  assert.throws(() => parseServicePrincipal(identity(spec), { ...rules, isAllowed }), {
    code: 'token_failed',
    reason: 'IdentityNotAllowed',
    message: /^IdentityNotAllowed: no entry of identityPolicy allows AzureIdentity team\/sp /,
  });
  const ids = { identityId: undefined, clientID: guid, tenantID: 'own.example', auxiliaryTenantIDs: ['other.example'] };
  assert.deepEqual(asked, [{ namespace: 'team', type: 1, ...ids }]);
});

test('accepts as adEndpoint only the Entra of a cloud', () => {
  const authority = (adEndpoint: string) => parseServicePrincipal(identity({ adEndpoint }), rules).authority;
  assert.equal(authority('https://login.microsoftonline.us/'), 'https://login.microsoftonline.us');
  assert.equal(authority('HTTPS://LOGIN.microsoftonline.com'), 'https://login.microsoftonline.com');
  assert.equal(authority('https://login.own.example:8443'), 'https://login.own.example:8443');
  for (const adEndpoint of [
    'http://login.microsoftonline.com/',
    'https://evil.example/',
    'https://login.microsoftonline.com.evil.example/',
    'https://login.microsoftonline.com:444/',
    'https://login.microsoftonline.com@evil.example/',
    'https://user@login.microsoftonline.com/',
    'https://login.microsoftonline.com/path',
    'https://login.microsoftonline.com/?x',
    'login.microsoftonline.com',
    'https://169.254.169.254/',
  ])
    refusedBy({ adEndpoint }, /adEndpoint must be the https address/);
});

test('accepts as tenant a GUID or a DNS name', () => {
  for (const tenantID of ['contoso.onmicrosoft.com', 'a-b.example', guid.toUpperCase()])
    assert.equal(parseServicePrincipal(identity({ tenantID }), rules).tenantIds[0], tenantID);
  for (const tenantID of [
    '',
    'common',
    'organizations',
    '../x',
    'a.example/oauth2',
    'a..example',
    '-a.example',
    'a.example#',
    `${'a'.repeat(250)}.example`,
  ])
    refusedBy({ tenantID }, /tenantID must be/);
});

test('puts up to three auxiliary tenants after the own one, for type 1', () => {
  const tenants = (spec: AzureIdentitySpec) => parseServicePrincipal(identity(spec), rules).tenantIds;
  const auxiliaryTenantIDs = ['b.example', ` ${guid}\n`, 'c.example'];
  assert.deepEqual(tenants({ auxiliaryTenantIDs }), [guid, 'b.example', guid, 'c.example']);
  assert.deepEqual(tenants({ auxiliaryTenantIDs: null }), [guid]);
  assert.deepEqual(tenants({ auxiliaryTenantIDs: [] }), [guid]);
  assert.deepEqual(tenants({ type: 2, auxiliaryTenantIDs: ['../x'] }), [guid], 'ignored, as in aad-pod-identity');
  for (const wrong of [['../x'], [''], ['a.example', 'b.example', 'c.example', 'd.example']])
    refusedBy({ auxiliaryTenantIDs: wrong }, /auxiliaryTenantIDs must be at most 3 GUIDs or DNS names/);
});

test('accepts as clientID a GUID', () => {
  for (const clientID of ['', 'msi', `${guid}&x=1`]) refusedBy({ clientID }, /clientID must be/);
});

test('requires the Secret in the namespace of the identity by default', () => {
  const clientPassword = { name: 'secret', namespace: 'other' };
  refusedBy({ clientPassword }, /must be in namespace team.*allowCrossNamespaceSecrets/, 'CrossNamespaceSecret');
  const lax = { ...rules, allowCrossNamespaceSecrets: true };
  assert.deepEqual(parseServicePrincipal(identity({ clientPassword }), lax).secret, clientPassword);
  assert.deepEqual(
    parseServicePrincipal(identity({ clientPassword: { name: 'secret', namespace: 'team' } }), rules).secret.namespace,
    'team',
  );
  for (const name of ['', '../x', 'a/b', 'A']) refusedBy({ clientPassword: { name } }, /must name a Secret/);
});

test('refuses an identity of another type than 1 and 2', () => {
  for (const type of [0, 7])
    assert.throws(() => parseServicePrincipal(identity({ type }), rules), { code: 'bad_request', message: /type [07]/ });
  assert.throws(() => parseServicePrincipal({ metadata: { namespace: 'team', name: 'x' } }, rules), {
    code: 'bad_request',
    message: /type 0/,
  });
});
