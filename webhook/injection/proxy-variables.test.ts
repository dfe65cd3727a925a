import assert from 'node:assert/strict';
import { test } from 'node:test';
import { viewContainer } from '../../lib/identities/decision/container-view.ts';
import { proxyVariableWarning } from './proxy-variables.ts';

const warningOf = (env: Record<string, unknown>[], more: object = {}, interception: 'redirect' | 'none' = 'redirect') =>
  proxyVariableWarning(viewContainer({ name: 'app', env, ...more }, 'containers'), interception);
const proxy = { name: 'HTTP_PROXY', value: 'http://squid:3128' };

test('warns of a proxy that would get the requests to IMDS', () => {
  assert.equal(
    warningOf([proxy]),
    'spec.containers[app] sets HTTP_PROXY, and its token requests to 169.254.169.254 may go there: add 169.254.169.254 to NO_PROXY',
  );
  assert.notEqual(
    warningOf([
      { name: 'http_proxy', value: 'x' },
      { name: 'NO_PROXY', value: '192.168.0.0/16,localhost' },
    ]),
    undefined,
  );
  assert.match(
    warningOf([proxy, { name: 'no_proxy', value: '169.254.169.254' }], {}, 'none') ?? '',
    /127\.0\.0\.1:2579 .*add 127\.0\.0\.1/,
  );
});

test('does not warn where requests to IMDS go past the proxy', () => {
  for (const value of ['169.254.169.254', 'localhost, 169.254.169.254', '169.254.0.0/16', '*'])
    assert.equal(warningOf([proxy, { name: 'NO_PROXY', value }]), undefined, value);
  assert.equal(warningOf([{ name: 'HTTPS_PROXY', value: 'x' }]), undefined);
  assert.equal(warningOf([{ name: 'HTTP_PROXY', value: '' }]), undefined);
  assert.equal(warningOf([]), undefined);
});

test('does not warn where the exceptions are not in the manifest', () => {
  assert.equal(warningOf([proxy, { name: 'NO_PROXY', valueFrom: { configMapKeyRef: { name: 'a', key: 'b' } } }]), undefined);
  assert.equal(warningOf([proxy], { envFrom: [{ configMapRef: { name: 'a' } }] }), undefined);
});
