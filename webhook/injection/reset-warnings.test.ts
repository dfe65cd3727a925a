import assert from 'node:assert/strict';
import { test } from 'node:test';
import jsonpatch from 'jsonpatch';
import { at } from '../../common/records.ts';
import type { RawObject } from '../../lib/identities/decision/raw-pod.ts';
import { parseRawPod } from '../../lib/identities/decision/raw-pod.ts';
import { admitInput } from '../testing/fixtures.ts';
import { admit } from './admit.ts';

const input = admitInput();
const injected = parseRawPod(jsonpatch.apply_patch<unknown>(input.pod.raw, admit(input).response.patch));
const remedy = /^of the injected containers, other admission may change .* image\.sidecar\.allowedRewrites and sidecar\.allowedEnv$/;

/** Warnings about a second call after `change` of the init container. */
function warningsAfter(change: (init: Record<string, unknown>) => RawObject, spec: RawObject = {}): string[] {
  const [init, proxy] = injected.spec.initContainers ?? [];
  const pod = { ...injected, spec: { ...injected.spec, initContainers: [change({ ...init }), proxy ?? {}], ...spec } };
  return admit(admitInput({ pod })).response.warnings;
}

const changes: [what: string, change: RawObject, named: string][] = [
  ['an image', { image: 'other:1' }, 'image'],
  ['a command', { command: ['sh'] }, 'command'],
  ['arguments', { args: ['init'] }, 'args'],
  [
    'a variable',
    { env: [{ name: 'LD_PRELOAD', value: '/x' }] },
    'env[LD_PRELOAD], env[AAD_POD_IDENTITY_POD_IP], env[AAD_POD_IDENTITY_HOST_IP]',
  ],
  ['variables from elsewhere', { envFrom: [{ configMapRef: { name: 'a' } }] }, 'envFrom'],
  [
    'a mount',
    { volumeMounts: [{ name: 'data', mountPath: '/usr/local/bin' }] },
    'volumeMounts[data], volumeMounts[aad-pod-identity-empty]',
  ],
  ['a device', { volumeDevices: [{ name: 'disk', devicePath: '/dev/x' }] }, 'volumeDevices[disk]'],
  ['a probe', { startupProbe: { exec: { command: ['sh'] } } }, 'startupProbe'],
  ['a hook', { lifecycle: { preStop: {} } }, 'lifecycle'],
  ['ports', { ports: [{ containerPort: 1 }] }, 'ports'],
  ['a removed field', { terminationMessagePolicy: undefined }, 'terminationMessagePolicy'],
  [
    'devices among the resources',
    { resources: { claims: [{ name: 'a' }], limits: { 'x/gpu': '1' } } },
    'resources.claims, resources.limits[x/gpu]',
  ],
];
for (const [what, change, named] of changes)
  test(`names ${what} of a container that is reset`, () => {
    const [line, last, ...more] = warningsAfter((init) => JSON.parse(JSON.stringify({ ...init, ...change })) as RawObject);
    assert.equal(line, `aad-pod-identity-init is reset: ${named}`);
    assert.match(last ?? '', remedy);
    assert.deepEqual(more, []);
  });

test('names the parts of a security context and the volumes that are reset', () => {
  const [line, volumes] = warningsAfter(
    (init) => ({ ...init, securityContext: { ...(init.securityContext as object), privileged: true, procMount: 'Unmasked' } }),
    { volumes: [{ name: 'aad-pod-identity-token', hostPath: { path: '/' } }] },
  );
  assert.equal(line, 'aad-pod-identity-init is reset: securityContext.privileged, securityContext.procMount');
  assert.equal(volumes, 'spec.volumes is reset: aad-pod-identity-token');
});

test('says nothing about what stays', () => {
  const change = {
    image: 'mirror.test/hub/sidecar:1',
    imagePullPolicy: 'Always',
    resources: { requests: { cpu: '1m' }, limits: { 'ephemeral-storage': '1Gi' } },
  };
  const variable = { name: 'HTTP_PROXY', value: 'http://proxy.test' };
  assert.deepEqual(
    warningsAfter((init) => ({ ...init, ...change, env: [variable, ...(at(init, 'env') as object[])] })),
    [],
  );
});

test('spreads fields over lines of 256 characters and counts those beyond 40', () => {
  const env = Array.from({ length: 1000 }, (_, index) => ({ name: `${'N'.repeat(200)}\n${index}`, value: '' }));
  const lines = warningsAfter((init) => ({ ...init, env: [...(at(init, 'env') as object[]), ...env] }));
  for (const line of lines) assert.match(line, /^[^\n]{1,256}$/);
  assert.equal(lines.join().match(/env\[N/g)?.length, 40);
  assert.match(lines.at(-2) ?? '', /, 960 more$/);
});
