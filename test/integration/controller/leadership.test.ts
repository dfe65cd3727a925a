// Two replicas: one leads, the other takes over what the first began.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { reportPath } from '../../../api/broker.ts';
import type { RunningProgram } from '../../harness/program.ts';
import { idOf, pool1 } from '../azure/fixtures.ts';
import { serveBroker, serviceFlag } from './broker-service.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';

let harness: Harness;

before(async () => {
  harness = await startHarness();
  await harness.createNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await harness.createIdentity('writer');
  await harness.createBinding('writer', 'writer', 'write');
});

after(() => harness?.stop());

const leads = (record: Record<string, unknown>) => record.msg === 'leading';
/** 200 from every replica, as aad-pod-identity answers: docs/reference/aad-pod-identity.md. */
const health = async (controller: RunningProgram) => {
  const { probes } = await controller.logged((record) => record.msg === 'started');
  const answer = await fetch(`http://127.0.0.1:${String(probes)}/healthz`);
  return `${answer.status} ${await answer.text()}`;
};

describe('leadership', () => {
  it('passes to the other replica when the leader stops', async () => {
    const first = await harness.startController();
    await first.logged(leads);
    const second = await harness.startController();
    assert.deepEqual([await health(first), await health(second)], ['200 Active', '200 Not Active']);
    await harness.createPod('one', 'write');
    await harness.untilAssigned('one-default-writer');
    assert.equal(await first.stop('SIGTERM'), 0);
    await second.logged(leads);
    assert.equal(await health(second), '200 Active');
    await harness.createPod('two', 'write');
    await harness.untilAssigned('two-default-writer');
    await second.stop();
  });

  it('detaches what a killed leader attached, by the ownership record', async () => {
    await harness.deletePod('one');
    await harness.deletePod('two');
    const cleaner = await harness.startController();
    await harness.untilReleased();
    await cleaner.stop();

    harness.emulator.patchState({ settings: { arm: { operationMs: 1_500 } } });
    const since = harness.emulator.log.last;
    const first = await harness.startController();
    await first.logged(leads);
    await harness.createPod('three', 'write');
    const writer = idOf('writer').toLowerCase();
    await harness.untilArmRequest((entry) => entry.method === 'PATCH' && JSON.stringify(entry.body).includes(writer), since);
    await first.stop('SIGKILL');
    // The pod is deleted while no controller runs: only the record shows the next leader what to detach.
    await harness.deletePod('three');
    const second = await harness.startController();
    await second.logged(leads);
    await harness.untilReleased();
    harness.emulator.patchState({ settings: { arm: { operationMs: 50 } } });
    await second.stop();
  });

  it('attaches again what another writer detached, after a report to the broker', async (t) => {
    // Without the report the scope is not read again for 40 s; with it, after two seconds at the earliest.
    const flags = [serviceFlag, '--identity-assignment-reconcile-interval=40'];
    const leader = await harness.startController(flags);
    await leader.logged(leads);
    const broker = await serveBroker(harness);
    t.after(() => broker.stop());
    await broker.startReplica();
    await harness.createPod('reporter', 'write');
    await harness.untilAssigned('reporter-default-writer');
    await harness.emulator.act({ do: 'wipe', resource: pool1, identities: [idOf('writer')] });
    const report = { identity: 'default/writer', reason: 'identity_not_found', requestId: 'x' };
    assert.equal(await broker.post('reporter', reportPath, report), 202);
    await harness.until(() => harness.attached().includes('writer'), 'attached again');
    await harness.deletePod('reporter');
    await harness.untilReleased();
    await leader.stop();
  });
});
