import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSettings } from '../lib/settings.ts';
import { settings } from './settings.ts';
import { templateOf } from './template.ts';

const values = parseSettings(settings, ['--sidecar-image=sidecar:1', '--namespace=system'], {});

test("writes the broker's URL and ClusterIP with the broker's port", () => {
  const { broker } = templateOf({ values, mode: 'native', namespace: 'team', caBundle: 'CA', brokerAddress: '10.0.0.1' });
  assert.deepEqual(broker, { url: 'https://aad-pod-identity-broker.system.svc:9443', address: '10.0.0.1:9443', ca: 'CA' });
});

test("puts an IPv6 address of the broker's Service in brackets", () => {
  assert.equal(
    templateOf({ values, mode: 'native', namespace: 'team', caBundle: '', brokerAddress: 'fd00::1' }).broker.address,
    '[fd00::1]:9443',
  );
});

test("leaves out the broker's address while its Service has none", () => {
  assert.equal(templateOf({ values, mode: 'native', namespace: 'team', caBundle: '', brokerAddress: undefined }).broker.address, undefined);
});

test('allows event approval in the listed namespaces', () => {
  const listed = { ...values, scheduledEventsNamespaces: ['drain'] };
  const allowed = (namespace: string) =>
    templateOf({ values: listed, mode: 'native', namespace, caBundle: '', brokerAddress: undefined }).allowEventApproval;
  assert.deepEqual([allowed('drain'), allowed('team')], [true, false]);
});

test('allows other admission what the settings say', () => {
  const flags = ['--sidecar-image=s:1', '--sidecar-allowed-rewrites=m.test/s:1', '--allowed-env=A,B'];
  const { allowed } = templateOf({
    mode: 'native',
    namespace: 'team',
    caBundle: '',
    brokerAddress: undefined,
    values: parseSettings(settings, flags, {}),
  });
  assert.deepEqual(allowed, { images: ['m.test/s:1'], variables: ['A', 'B'] });
});
