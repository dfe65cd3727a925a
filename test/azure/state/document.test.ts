import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { patchedState } from './change.ts';
import { readState } from './document.ts';
import { writeState } from './write.ts';

const text = readFileSync(new URL('../default-state.json', import.meta.url), 'utf8');
const small = (): Record<string, unknown> => JSON.parse(text);

test('reads what GET /state writes back as the same state', () => {
  const state = readState(
    {
      ...small(),
      roles: [{ principal: 'x', role: 'Reader' }],
      issuers: [{ issuer: 'https://issuer.example', url: 'https://127.0.0.1:6443' }],
      identities: [
        { name: 'reader', federated: [{ name: 'one', issuer: 'https://issuer.example', subject: 's' }] },
        { name: 'writer', disabled: true, blocked: true },
      ],
      denyAssignments: [{ scope: '/' }],
      apps: [{ clientId: 'cccccccc-0000-4000-8000-000000000001', secrets: [{ value: 'x', expires: '2030-01-01T00:00:00Z' }] }],
    },
    5,
  );
  const again = readState(JSON.parse(JSON.stringify(writeState(state))), 5);
  assert.deepEqual(again, state);
});

test('keeps an attachment whose identity was recreated or deleted since', () => {
  const state = readState(small(), 5);
  const gone = { ...state, identities: new Map([...state.identities].slice(1)) };
  const [set] = readState(JSON.parse(JSON.stringify(writeState(gone))), 5).resources.values();
  assert.deepEqual(set?.identity, state.resources.get(set?.id.toLowerCase() ?? '')?.identity);
});

test('merges settings of a patch, replaces named sections, keeps what runs', () => {
  const state = readState(small(), 5);
  const next = patchedState(state, { settings: { arm: { lro: '200' } }, apps: [] }, 9);
  assert.deepEqual([next.config.settings.arm.lro, next.config.settings.arm.etagBump, next.apps.size], ['200', 'both', 0]);
  assert.deepEqual(next.resources, state.resources);
  const replaced = patchedState(state, { scaleSets: [], imds: { vm: 'alone' }, virtualMachines: [{ name: 'alone' }] }, 9);
  assert.deepEqual(
    [...replaced.resources.values()].map((resource) => [resource.name, resource.visible[0]?.from]),
    [['alone', 9]],
  );
});

const wrong: [string, (document: Record<string, unknown>) => unknown, RegExp][] = [
  ['no tenant', ({ tenant: _tenant, ...rest }) => rest, /^tenant: is missing/],
  ['not an object', () => [], /^document: must be an object/],
  ['an unknown field', (document) => ({ ...document, scaleSet: [] }), /^scaleSet: is not known here; known: tenant,/],
  ['a nested unknown field', (document) => ({ ...document, scaleSets: [{ name: 'a', nmae: 1 }] }), /^scaleSets\[0\]\.nmae: is not known/],
  [
    'an orchestration',
    (document) => ({ ...document, scaleSets: [{ name: 'a', orchestration: 'uniform' }] }),
    /^scaleSets\[0\]\.orchestration: must be one of "Uniform", "Flexible"/,
  ],
  [
    'a name with a slash',
    (document) => ({ ...document, scaleSets: [{ name: 'a/b' }] }),
    /^scaleSets\[0\]\.name: must be a name without "\/"/,
  ],
  [
    'the same set twice',
    (document) => ({ ...document, scaleSets: [{ name: 'a' }, { name: 'A' }] }),
    /^scaleSets\[1\]: names ".*" a second time/,
  ],
  [
    'an identity that is not there',
    (document) => ({ ...document, scaleSets: [{ name: 'a', identity: { type: 'UserAssigned', ids: ['x'] } }] }),
    /^scaleSets\[0\]\.identity\.ids\[0\]: "x" is not/,
  ],
  [
    'a type without its ids',
    (document) => ({ ...document, scaleSets: [{ name: 'a', identity: { type: 'UserAssigned' } }] }),
    /^scaleSets\[0\]\.identity\.ids: must be a non-empty list/,
  ],
  [
    'ids without their type',
    (document) => ({ ...document, scaleSets: [{ name: 'a', identity: { type: 'None', ids: ['reader'] } }] }),
    /must be left out with type "None"/,
  ],
  [
    'instances of a Flexible set',
    (document) => ({ ...document, scaleSets: [{ name: 'a', orchestration: 'Flexible', instances: 2 }] }),
    /^scaleSets\[0\]\.instances: are virtualMachines/,
  ],
  [
    'a set that is not Flexible',
    (document) => ({ ...document, virtualMachines: [{ name: 'v', scaleSet: 'pool1' }] }),
    /^virtualMachines\[0\]\.scaleSet: must name/,
  ],
  ['a machine that is not there', (document) => ({ ...document, imds: { vm: 'pool1/9' } }), /^imds\.vm: "pool1\/9" is not/],
  [
    'a client id',
    (document) => ({ ...document, identities: [{ name: 'a', clientId: 'x' }] }),
    /^identities\[0\]\.clientId: must be a GUID/,
  ],
  [
    'an identity of another kind',
    (document) => ({ ...document, identities: [{ id: '/subscriptions/a' }] }),
    /^identities\[0\]\.id: must be the resource id/,
  ],
  ['an identity without a name', (document) => ({ ...document, identities: [{}] }), /^identities\[0\]: needs either/],
  [
    'a certificate',
    (document) => ({ ...document, apps: [{ clientId: 'cccccccc-0000-4000-8000-000000000001', certificates: ['x'] }] }),
    /^apps\[0\]\.certificates\[0\]: must be a PEM certificate/,
  ],
  ['a role', (document) => ({ ...document, roles: [{ principal: 'x', role: 'King' }] }), /^roles\[0\]\.role: must be one of "Owner"/],
  [
    'a key',
    (document) => ({ ...document, issuers: [{ issuer: 'x', keys: ['y'] }] }),
    /^issuers\[0\]\.keys\[0\]: must be a PEM public key or a JWK/,
  ],
  [
    'a range',
    (document) => ({ ...document, settings: { propagationMs: { min: 2, max: 1 } } }),
    /^settings\.propagationMs: must have "min" and "max"/,
  ],
  ['a setting', (document) => ({ ...document, settings: { arm: { lro: 'never' } } }), /^settings\.arm\.lro: must be one of/],
];
for (const [what, change, message] of wrong) {
  test(`refuses a document with ${what} wrong and names the field`, () => {
    assert.throws(() => readState(change(small()), 0), { name: 'DocumentError', message });
  });
}
