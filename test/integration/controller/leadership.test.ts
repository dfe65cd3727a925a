// Two replicas: one leads, the other takes over, and nothing that the first began is lost or done to what is not ours.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { reportPath } from '../../../api/broker.ts';
import { idOf, pool1 } from '../azure/support.ts';
import { serveBroker, serviceFlag } from './broker-service.ts';
import type { ControllerProcess, Stage } from './stage.ts';
import { setStage, statusOf } from './stage.ts';

let stage: Stage;

before(async () => {
  stage = await setStage();
  await stage.makeNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await stage.makeIdentity('writer');
  await stage.makeBinding('writer', 'writer', 'write');
});

after(() => stage?.stop());

const leads = (record: Record<string, unknown>) => record.msg === 'leading';
/** Upstream's probe: 200 from every replica, whoever leads (spec 2.14). */
const health = async (controller: ControllerProcess) => {
  const { probes } = await controller.logs((record) => record.msg === 'started');
  const answer = await fetch(`http://127.0.0.1:${String(probes)}/healthz`);
  return `${answer.status} ${await answer.text()}`;
};
const statusOfPod = (name: string) => statusOf(stage.assigned.get(`default/${name}-default-writer`));

describe('leadership', () => {
  it('passes to the other replica when the leader stops, and the new one goes on', async () => {
    const first = await stage.startController();
    await first.logs(leads);
    const second = await stage.startController();
    assert.deepEqual([await health(first), await health(second)], ['200 Active', '200 Not Active']);
    await stage.makePod('one', 'write');
    await stage.until(() => statusOfPod('one') === 'Assigned', 'Assigned by the first');
    assert.equal(await first.end('SIGTERM'), 0);
    await second.logs(leads);
    assert.equal(await health(second), '200 Active');
    await stage.makePod('two', 'write');
    await stage.until(() => statusOfPod('two') === 'Assigned', 'Assigned by the second');
    await second.end();
  });

  it('finishes what a killed leader began: the record knows that the identity is ours', async () => {
    await stage.removePod('one');
    await stage.removePod('two');
    const cleaner = await stage.startController();
    await stage.until(() => stage.attached().join() === 'third', 'clean');
    await cleaner.end();

    stage.emulator.patchState({ settings: { arm: { operationMs: 1_500 } } });
    const first = await stage.startController();
    await first.logs(leads);
    await stage.makePod('three', 'write');
    await stage.emulator.log.waitFor(
      (entry) =>
        entry.kind === 'request' &&
        entry.service === 'arm' &&
        entry.method === 'PATCH' &&
        JSON.stringify(entry.body).includes(idOf('writer').toLowerCase()),
    );
    await first.end('SIGKILL');
    // The pod goes while nobody looks: only the record tells the next leader that there is something to take away.
    await stage.removePod('three');
    const second = await stage.startController();
    await second.logs(leads);
    await stage.until(() => [...stage.assigned.values()].length === 0, 'its object is gone');
    await stage.until(() => stage.attached().join() === 'third', 'detached by the second');
    stage.emulator.patchState({ settings: { arm: { operationMs: 50 } } });
    await second.end();
  });

  it('learns of a report that another replica received, and attaches at once what somebody took away', async (t) => {
    // A scope is not looked at more often than every two seconds; by itself not for another forty.
    const flags = [serviceFlag, '--identity-assignment-reconcile-interval=40'];
    const leader = await stage.startController(flags);
    await leader.logs(leads);
    const follower = await stage.startController(flags);
    const broker = await serveBroker(stage);
    t.after(() => broker.stop());
    await broker.leadTo(follower);
    await stage.makePod('reporter', 'write');
    await stage.until(() => statusOfPod('reporter') === 'Assigned', 'Assigned');
    await stage.emulator.act({ do: 'wipe', resource: pool1, identities: [idOf('writer')] });
    const report = { identity: 'default/writer', reason: 'identity_not_found', requestId: 'x' };
    assert.equal(await broker.post('reporter', reportPath, report), 202);
    await stage.until(() => stage.attached().includes('writer'), 'attached again');
    await stage.removePod('reporter');
    await stage.until(() => stage.attached().join() === 'third', 'detached');
    await Promise.all([leader.end(), follower.end()]);
  });
});
