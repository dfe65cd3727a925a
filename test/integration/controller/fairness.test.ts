// Tenants who share a scale set and bring bad identities, with Azure's documented limits. controller/scopes/fairness.test.ts has the same over twelve hours.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { group, idOf } from '../azure/fixtures.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';
import { annotationOf } from './harness/observations.ts';

const operationMs = 1_500;
const sets = ['named-patch', 'named-operation', 'unnamed-patch', 'unnamed-operation', 'at-once'] as const;
type SetName = (typeof sets)[number];
const scopeOf = (set: SetName) => `${group}/Microsoft.Compute/virtualMachineScaleSets/${set}`;

let harness: Harness;

before(async () => {
  harness = await startHarness({
    azure: {
      scaleSets: sets.map((name) => ({ name, instances: 1 })),
      virtualMachines: [],
      imds: { vm: `${sets[0]}/0` },
      settings: { limits: { imds: false, arm: true }, arm: { operationMs } },
    },
  });
  for (const set of sets) {
    await harness.createNode(`node-${set}`, `azure://${scopeOf(set)}/virtualMachines/0`);
    for (const namespace of [`hostile-${set}`, `honest-${set}`]) await harness.createNamespace(namespace);
  }
  await harness.startController(['--scope-write-burst=12']);
});
after(() => harness?.stop());

/** Makes Azure refuse writes with this identity: at the PATCH or at the end of the operation, with or without its name. */
function refuse(set: SetName, id: string): void {
  const text = set.startsWith('named') ? `Resource '${id}' was not found.` : 'Status: BadRequest.';
  const error = { code: 'FailedIdentityOperation', message: `Identity operation failed with error '${text}'` };
  const fault = set.endsWith('operation')
    ? { fault: 'operation', ms: operationMs, end: 'Failed', ...error, count: null }
    : { fault: 'answer', service: 'arm', method: 'PATCH', status: 400, body: { error }, count: null };
  harness.emulator.addFault({ ...fault, identity: id });
}

/** A pod of the namespace that is bound to one identity there. */
async function bindPod(set: SetName, namespace: string, name: string, identity: string): Promise<void> {
  await harness.createIdentity(name, { resourceID: idOf(identity) }, { namespace });
  await harness.createBinding(name, name, `${set}-${name}`, namespace);
  await harness.createPod(name, `${set}-${name}`, { node: `node-${set}`, namespace });
}

async function addBad(set: SetName, index: number): Promise<void> {
  const identity = `bad-${set}-${index}`;
  refuse(set, idOf(identity));
  await bindPod(set, `hostile-${set}`, `bad${index}`, identity);
}

/** Writes to the set after this number of the emulator's log that Azure did not throttle, and whether each attaches the identity. */
const writesOf = (set: SetName, identity: string, since: number) =>
  harness
    .armRequests(since)
    .filter(({ method, path, status }) => method === 'PATCH' && status !== 429 && path.toLowerCase().includes(`/${set}`))
    .map(({ body, status, error }) => ({ holds: JSON.stringify(body).toLowerCase().includes(`/${identity}"`), status, error }));

/** Assigned by the first or second write that begins once the controller knows of the pod. */
async function attachesHonest(set: SetName, identity = 'writer'): Promise<void> {
  const name = `victim-honest-${set}-victim`;
  await bindPod(set, `honest-${set}`, 'victim', identity);
  await harness.until(() => harness.find(name) !== undefined, `${name} is there`);
  const since = harness.emulator.log.last;
  await harness.untilAssigned(name);
  const writes = writesOf(set, identity, since);
  assert.ok(writes.findLastIndex(({ holds }) => holds) <= 1, `writes: ${JSON.stringify(writes)}`);
}

describe('an identity of another namespace', { concurrency: true }, () => {
  for (const set of ['named-patch', 'named-operation', 'unnamed-patch', 'unnamed-operation'] as const)
    it(`is Assigned within two writes beside a flood of bad ones, ${set}`, async () => {
      const stop = new AbortController();
      const flood = (async () => {
        for (let index = 0; index < 24 && !stop.signal.aborted; index += 1) {
          await addBad(set, index);
          await delay(500, undefined, { signal: stop.signal }).catch(() => undefined);
        }
      })();
      try {
        await harness.until(() => annotationOf(harness.find(`bad0-hostile-${set}-bad0`), 'reason') !== undefined, 'the first one failed');
        await attachesHonest(set);
      } finally {
        stop.abort();
        await flood;
      }
    });

  it('is Assigned within two writes after 32 bad ones came at once', async () => {
    await Promise.all(Array.from({ length: 32 }, (_, index) => addBad('at-once', index)));
    await attachesHonest('at-once');
  });
});

describe('the status of an identity', () => {
  it('is final only for one alone in its write and quotes no foreign id', () => {
    for (const set of ['unnamed-patch', 'named-patch'] as const) {
      const bad = harness.find(`bad0-hostile-${set}-bad0`);
      const victim = harness.find(`victim-honest-${set}-victim`);
      assert.ok(!JSON.stringify(victim).includes('bad-'), 'nothing of the hostile namespace');
      assert.ok(!(annotationOf(bad, 'message') ?? '').includes('/writer'), 'nothing of the honest namespace');
    }
  });
});
