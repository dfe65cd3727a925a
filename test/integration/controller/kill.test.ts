// kill -9 of the leader at every step of an assignment and of its end: the next one loses nothing and takes nothing that is not ours.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { leaderLeaseName } from '../../../api/names.ts';
import { parseRecord, recordName } from '../../../controller/scopes/ownership.ts';
import { isNotFound } from '../../../lib/kube/errors.ts';
import { configMaps, leases, resourcePath } from '../../../lib/kube/resources.ts';
import type { LogEntry } from '../../azure/core/log.ts';
import { pool1 } from '../azure/support.ts';
import type { ControllerProcess, Stage } from './stage.ts';
import { eventually, setStage, statusOf } from './stage.ts';

let stage: Stage;
let leader: ControllerProcess;
/** The product's own Lease: one of a second is lost on a busy machine, and with it the step that was waited for. */
const flags = ['--lease-duration=10', '--lease-renew=7', '--lease-retry=2', '--identity-assignment-reconcile-interval=2'];
const leasePath = resourcePath(leases, { namespace: 'default', name: leaderLeaseName });

/** The dead leader's Lease goes, so that nobody has to wait for its end; that one is waited for is shown in leadership.test.ts. */
async function nextLeader(): Promise<void> {
  await stage.client.call('DELETE', leasePath).catch((error: unknown) => {
    if (!isNotFound(error)) throw error;
  });
  leader = await stage.startController(flags);
  await leader.logs((record) => record.msg === 'leading');
}

before(async () => {
  stage = await setStage();
  await stage.makeNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await stage.makeIdentity('writer');
  await stage.makeBinding('writer', 'writer', 'write');
  await nextLeader();
});
after(() => stage?.stop());

const name = 'killed-default-writer';
const status = () => statusOf(stage.assigned.get(`default/${name}`));
const recordPath = resourcePath(configMaps, { namespace: 'default', name: recordName(pool1) });
const states = async () => {
  const raw = await stage.client.call('GET', recordPath).catch(() => undefined);
  return raw === undefined ? [] : [...parseRecord(raw).identities.values()].map(({ state }) => state);
};
const isCall = (entry: LogEntry, method: string) =>
  entry.kind === 'request' && entry.service === 'arm' && entry.method === method && entry.path.toLowerCase().includes(pool1.toLowerCase());
const called = (method: string, since: number) => stage.emulator.log.waitFor((entry) => entry.seq > since && isCall(entry, method));

interface Step {
  what: string;
  /** Before the pod is made or removed. */
  hold?(): void;
  /** Resolves when the leader is at that step. */
  reached(since: number): Promise<unknown>;
}
const hang = (method: string, processed: boolean) => () =>
  void stage.emulator.addFault({ fault: 'hang', service: 'arm', method, resource: pool1, processed });
const holdOperation = (ms: number) => () => void stage.emulator.addFault({ fault: 'operation', ms });

const writing: Step[] = [
  { what: 'while it looks at Azure, before the record', hold: hang('GET', false), reached: (since) => called('GET', since) },
  {
    what: 'with the record written and a PATCH that never arrived',
    hold: hang('PATCH', false),
    reached: (since) => called('PATCH', since),
  },
  { what: 'with a PATCH that Azure carried out and did not answer', hold: hang('PATCH', true), reached: (since) => called('PATCH', since) },
  { what: 'during the operation', hold: holdOperation(1_500), reached: (since) => called('PATCH', since) },
  {
    what: 'during the operation, which is on record',
    hold: holdOperation(1_500),
    reached: () =>
      eventually(async () => {
        const raw = await stage.client.call('GET', recordPath).catch(() => undefined);
        return raw !== undefined && parseRecord(raw).operation !== undefined;
      }, 'an operation on record'),
  },
  {
    what: 'after the operation, before it has seen the result',
    hold: holdOperation(500),
    async reached(since) {
      const { seq } = await called('PATCH', since);
      // By its path: a look at the operation is about the same resource.
      stage.emulator.addFault({ fault: 'hang', service: 'arm', method: 'GET', path: 'virtualMachineScaleSets' });
      await called('GET', seq);
    },
  },
];

async function play(step: Step, act: () => Promise<void>): Promise<void> {
  const since = stage.emulator.log.last;
  step.hold?.();
  await act();
  await step.reached(since);
  await leader.end('SIGKILL');
  stage.emulator.removeFaults();
}

async function allGone(): Promise<void> {
  await stage.until(() => [...stage.assigned.values()].length === 0, 'the object is gone');
  await stage.until(() => stage.attached().join() === 'third', 'only the foreign identity is left');
  await eventually(async () => (await states()).length === 0, 'nothing in the record');
}
const stolen = () => stage.emulator.log.list().some((entry) => isCall(entry, 'PATCH') && JSON.stringify(entry).includes('/third'));
/** A step that is never reached fails by itself. */
const limit = { timeout: 60_000 };
const make = () => stage.makePod('killed', 'write');
const remove = () => stage.removePod('killed');

describe('kill -9 of the leader', () => {
  const attaching: Step[] = [
    ...writing,
    { what: 'when the identity is ours on record', reached: () => eventually(async () => (await states()).includes('owned'), 'owned') },
    { what: 'when it is Assigned', reached: () => stage.until(() => status() === 'Assigned', 'Assigned') },
  ];
  for (const step of attaching) {
    it(`attaching, ${step.what}: the next leader assigns and detaches it`, limit, async () => {
      await play(step, make);
      await nextLeader();
      await stage.until(() => status() === 'Assigned' && stage.attached().join() === 'third,writer', 'Assigned and attached');
      await remove();
      await allGone();
      assert.ok(!stolen());
    });

    it(`attaching, ${step.what}, and the pod goes while nobody leads: the next leader takes it away`, limit, async () => {
      await play(step, make);
      await remove();
      await nextLeader();
      await allGone();
      assert.ok(!stolen());
    });
  }

  const detaching: Step[] = [
    { what: 'as soon as the object is gone', reached: () => stage.until(() => status() === '', 'no object') },
    ...writing,
  ];
  for (const step of detaching) {
    it(`detaching, ${step.what}: the next leader takes it away`, limit, async () => {
      await make();
      await stage.until(() => status() === 'Assigned', 'Assigned');
      await eventually(async () => (await states()).join() === 'owned', 'owned');
      await play(step, remove);
      await nextLeader();
      await allGone();
      assert.ok(!stolen());
    });
  }
});
