// kill -9 of the leader at every step of an assignment and of its end: the next leader finishes it and leaves foreign identities attached.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { leaderLeaseName } from '../../../api/names.ts';
import { parseRecord, recordName } from '../../../controller/scopes/ownership.ts';
import { isNotFound } from '../../../lib/kube/errors.ts';
import { configMaps, leases, resourcePath } from '../../../lib/kube/resources.ts';
import type { RequestEntry } from '../../azure/core/log.ts';
import type { RunningProgram } from '../../harness/program.ts';
import { eventually } from '../../harness/wait.ts';
import { pool1 } from '../azure/fixtures.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';

let harness: Harness;
let leader: RunningProgram;
/** The default Lease: on a busy machine a leader loses a Lease of one second, and the test its step. */
const flags = ['--lease-duration=10', '--lease-renew=7', '--lease-retry=2', '--identity-assignment-reconcile-interval=2'];
const leasePath = resourcePath(leases, { namespace: 'default', name: leaderLeaseName });

/** Deletes the dead leader's Lease, so that the test does not wait for its end; leadership.test.ts waits for one. */
async function nextLeader(): Promise<void> {
  await harness.client.call('DELETE', leasePath).catch((error: unknown) => {
    if (!isNotFound(error)) throw error;
  });
  leader = await harness.startController(flags);
  await leader.logged((record) => record.msg === 'leading');
}

before(async () => {
  harness = await startHarness();
  await harness.createNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await harness.createIdentity('writer');
  await harness.createBinding('writer', 'writer', 'write');
  await nextLeader();
});
after(() => harness?.stop());

const name = 'killed-default-writer';
const recordPath = resourcePath(configMaps, { namespace: 'default', name: recordName(pool1) });
const states = async () => {
  const raw = await harness.client.call('GET', recordPath).catch(() => undefined);
  return raw === undefined ? [] : [...parseRecord(raw).identities.values()].map(({ state }) => state);
};
const isRequest = (entry: RequestEntry, method: string) =>
  entry.method === method && entry.path.toLowerCase().includes(pool1.toLowerCase());
const requested = (method: string, since: number) => harness.untilArmRequest((entry) => isRequest(entry, method), since);

interface Step {
  what: string;
  /** Makes Azure stop at the step; called before the pod is created or deleted. */
  hold?(): void;
  /** Resolves when the leader is at that step. */
  reached(since: number): Promise<unknown>;
}
const hang = (method: string, processed: boolean) => () =>
  void harness.emulator.addFault({ fault: 'hang', service: 'arm', method, resource: pool1, processed });
const holdOperation = (ms: number) => () => void harness.emulator.addFault({ fault: 'operation', ms });

const writing: Step[] = [
  { what: 'before the leader reads the scale set', hold: hang('GET', false), reached: (since) => requested('GET', since) },
  {
    what: 'before the PATCH arrives',
    hold: hang('PATCH', false),
    reached: (since) => requested('PATCH', since),
  },
  { what: 'before the PATCH is answered', hold: hang('PATCH', true), reached: (since) => requested('PATCH', since) },
  { what: 'during the operation', hold: holdOperation(1_500), reached: (since) => requested('PATCH', since) },
  {
    what: 'after the operation is on record',
    hold: holdOperation(1_500),
    reached: () =>
      eventually(async () => {
        const raw = await harness.client.call('GET', recordPath).catch(() => undefined);
        return raw !== undefined && parseRecord(raw).operation !== undefined;
      }, 'an operation on record'),
  },
  {
    what: 'before the leader reads the result',
    hold: holdOperation(500),
    async reached(since) {
      const { seq } = await requested('PATCH', since);
      // Selected by its path: a GET of the operation concerns the same resource.
      harness.emulator.addFault({ fault: 'hang', service: 'arm', method: 'GET', path: 'virtualMachineScaleSets' });
      await requested('GET', seq);
    },
  },
];

async function killAt(step: Step, act: () => Promise<void>): Promise<void> {
  const since = harness.emulator.log.last;
  step.hold?.();
  await act();
  await step.reached(since);
  await leader.stop('SIGKILL');
  harness.emulator.removeFaults();
}

async function untilReleased(): Promise<void> {
  await harness.untilReleased();
  await eventually(async () => (await states()).length === 0, 'nothing in the record');
  const foreign = harness.armRequests().filter((entry) => isRequest(entry, 'PATCH') && JSON.stringify(entry).includes('/third'));
  assert.deepEqual(foreign, [], 'no PATCH names the foreign identity');
}
/** A step that is never reached fails by itself. */
const limit = { timeout: 120_000 };
const createPod = () => harness.createPod('killed', 'write');
const deletePod = () => harness.deletePod('killed');

describe('the next leader', () => {
  const attaching: Step[] = [
    ...writing,
    { what: 'after the record says owned', reached: () => eventually(async () => (await states()).includes('owned'), 'owned') },
    { what: 'after the object is Assigned', reached: () => harness.untilAssigned(name) },
  ];
  for (const step of attaching) {
    it(`assigns after a kill ${step.what}`, limit, async () => {
      await killAt(step, createPod);
      await nextLeader();
      await harness.until(() => harness.status(name) === 'Assigned' && harness.attached().join() === 'third,writer', 'Assigned');
      await deletePod();
      await untilReleased();
    });

    it(`cleans up for a deleted pod after a kill ${step.what}`, limit, async () => {
      await killAt(step, createPod);
      await deletePod();
      await nextLeader();
      await untilReleased();
    });
  }

  const detaching: Step[] = [
    { what: 'after the object is deleted', reached: () => harness.until(() => harness.status(name) === '', 'no object') },
    ...writing,
  ];
  for (const step of detaching) {
    it(`detaches after a kill ${step.what}`, limit, async () => {
      await createPod();
      await harness.untilAssigned(name);
      await eventually(async () => (await states()).join() === 'owned', 'owned');
      await killAt(step, deletePod);
      await nextLeader();
      await untilReleased();
    });
  }
});
