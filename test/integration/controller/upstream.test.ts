// Beside aad-pod-identity: its controller (MIC) still runs, has run, or left things behind; and the mode in which nothing is written.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { setInterval as every } from 'node:timers/promises';
import { jsonPatch } from '../../../lib/kube/client.ts';
import { isAlreadyExists } from '../../../lib/kube/errors.ts';
import { at, isRecord } from '../../../lib/kube/objects.ts';
import { azureAssignedIdentities, azureIdentities, azureIdentityBindings, endpoints, resourcePath } from '../../../lib/kube/resources.ts';
import { clientIds, idOf, pool1 } from '../azure/support.ts';
import type { ControllerProcess, Stage } from './stage.ts';
import { eventually, notesOf, setStage, statusOf, untilEvent } from './stage.ts';

let stage: Stage;
const controllers: ControllerProcess[] = [];
/** How to stop them, twice if need be. */
const mics: (() => Promise<void>)[] = [];

before(async () => {
  stage = await setStage();
  await stage.makeNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await stage.makeIdentity('writer');
  await stage.makeBinding('writer', 'writer', 'write');
});

after(() => stage?.stop());
afterEach(async () => {
  await Promise.all(mics.splice(0).map((stop) => stop()));
  await Promise.all(controllers.splice(0).map((controller) => controller.end()));
});

async function start(...flags: string[]): Promise<ControllerProcess> {
  const controller = await stage.startController(['--upstream-quiet=2', ...flags]);
  controllers.push(controller);
  return controller;
}

const statusOfPod = (name: string) => statusOf(stage.assigned.get(`default/${name}-default-writer`));
const lockPath = resourcePath(endpoints, { namespace: 'default', name: 'aad-pod-identity-mic' });
const leads = (record: Record<string, unknown>) => record.msg === 'leading';

/** Renews the lock as a MIC does, until stopped. */
async function startMic(): Promise<() => Promise<void>> {
  const body = () => ({
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: {
      name: 'aad-pod-identity-mic',
      annotations: {
        'control-plane.alpha.kubernetes.io/leader': JSON.stringify({
          holderIdentity: 'mic-0',
          leaseDurationSeconds: 15,
          renewTime: new Date().toISOString(),
        }),
      },
    },
  });
  const stopping = new AbortController();
  await stage.client.call('POST', resourcePath(endpoints, { namespace: 'default' }), { body: body() }).catch((error: unknown) => {
    if (!isAlreadyExists(error)) throw error;
  });
  const renewing = (async () => {
    try {
      for await (const _ of every(200, undefined, { signal: stopping.signal }))
        await stage.client.call('PATCH', lockPath, { contentType: 'application/merge-patch+json', body: body() });
    } catch (error) {
      if (!stopping.signal.aborted) throw error;
    }
  })();
  const stop = async () => {
    stopping.abort();
    await renewing;
  };
  mics.push(stop);
  return stop;
}

describe('beside aad-pod-identity', () => {
  it('writes nothing while its MIC renews the lock, says so, and goes on when it is silent', async () => {
    const stopMic = await startMic();
    const before = stage.patches();
    const controller = await start();
    await controller.logs(leads);
    await stage.makePod('held', 'write');
    await untilEvent(
      stage.client,
      'Endpoints',
      'aad-pod-identity-mic',
      /^UpstreamControllerRuns: MIC mic-0 of aad-pod-identity still renews/,
    );
    await controller.logs((record) => String(record.msg).includes('still renews its lock'));
    assert.equal(statusOfPod('held'), '');
    assert.equal(stage.patches(), before);
    await stopMic();
    await stage.until(() => statusOfPod('held') === 'Assigned', 'Assigned after the MIC is silent');
  });

  it('stops writing when a MIC comes back', async () => {
    const controller = await start();
    await stage.makePod('first', 'write');
    await stage.until(() => statusOfPod('first') === 'Assigned', 'Assigned');
    const stopMic = await startMic();
    await controller.logs((record) => String(record.msg).includes('still renews its lock'));
    const before = stage.patches();
    await stage.makePod('second', 'write');
    for (const pod of ['held', 'first']) await stage.removePod(pod);
    await stopMic();
    assert.equal(statusOfPod('second'), '');
    assert.equal(statusOfPod('first'), 'Assigned');
    assert.equal(stage.patches(), before);
    await stage.until(() => statusOfPod('second') === 'Assigned' && statusOfPod('first') === '', 'done after the MIC is silent');
    await stage.removePod('second');
    await stage.until(() => [...stage.assigned.values()].length === 0 && stage.attached().join() === 'third', 'all gone');
  });

  it('lets go of what was assigned when the mode is changed to managed, and of nothing in Azure', async () => {
    const standard = await start();
    await stage.makePod('changed', 'write');
    await stage.until(() => statusOfPod('changed') === 'Assigned', 'Assigned');
    await standard.end();
    const before = stage.patches();
    await start('--operation-mode=managed');
    await stage.until(() => stage.assigned.get('default/changed-default-writer') === undefined, 'released, though its pod lives');
    assert.equal(stage.patches(), before);
    assert.ok(stage.attached().includes('writer'));
    await stage.removePod('changed');
    await Promise.all(controllers.splice(0).map((controller) => controller.end()));
    await start();
    await stage.until(() => stage.attached().join() === 'third', 'detached once the mode is standard again: the record was kept');
    await Promise.all(controllers.splice(0).map((controller) => controller.end()));
  });

  it('writes neither objects nor Azure in managed mode', async () => {
    const before = stage.emulator.log.list().length;
    const controller = await start('--operation-mode=managed');
    await controller.logs(leads);
    await stage.makePod('managed', 'write');
    await stage.makePod('missed', 'write', { injected: false });
    // The Event of the second shows that the leader has seen both.
    await untilEvent(stage.client, 'Pod', 'missed', /^NotInjected/);
    const list = await stage.client.call('GET', resourcePath(azureAssignedIdentities));
    assert.deepEqual((list as { items: unknown[] }).items, []);
    const arm = stage.emulator.log.list().slice(before);
    assert.deepEqual(
      arm.filter((entry) => entry.kind === 'request' && entry.service === 'arm'),
      [],
    );
    for (const pod of ['managed', 'missed']) await stage.removePod(pod);
  });

  for (const adopt of [false, true])
    it(`takes over what a MIC assigned without a write, and with adoptAttached=${adopt} ${adopt ? 'detaches' : 'leaves'} it in the end`, async () => {
      const name = `taken-${adopt}`;
      await stage.makeIdentity(name, { resourceID: idOf('third') });
      await stage.makeBinding(name, name, name);
      await stage.makePod(name, name);
      await stage.client.call('POST', resourcePath(azureAssignedIdentities, { namespace: 'default' }), { body: await asOfMic(name) });
      const before = stage.patches();
      await start(`--adopt-attached=${adopt}`);
      const object = () => stage.assigned.get(`default/${name}-default-${name}`);
      await stage.until(() => notesOf(object(), 'clientId') === clientIds.third && notesOf(object(), 'podUid') !== undefined, 'taken over');
      assert.equal(statusOf(object()), 'Assigned');
      assert.equal(stage.patches(), before);
      await stage.removePod(name);
      await stage.until(() => object() === undefined, 'released');
      if (adopt) await stage.until(() => !stage.attached().includes('third'), 'detached');
      else assert.deepEqual(stage.attached(), ['third']);
    });

  it('clears away what a MIC left of pods that are long gone, finalizer and all', async () => {
    await stage.makeIdentity('orphan');
    await stage.makeBinding('orphan', 'orphan', 'orphan');
    await stage.client.call('POST', resourcePath(azureAssignedIdentities, { namespace: 'default' }), { body: await asOfMic('orphan') });
    await start();
    await stage.until(() => stage.assigned.get('default/orphan-default-orphan') === undefined, 'collected');
  });

  it('starts with the flags of MIC, and says of each that has no effect why', async () => {
    const flags = [
      '-forceNamespaced',
      '--syncRetryDuration',
      '1h',
      '--createDeleteBatch=3',
      '--clientQps=50.5',
      '--logtostderr',
      '-v',
      '5',
    ];
    const controller = await start(...flags);
    for (const flag of ['--syncRetryDuration', '--logtostderr'])
      await controller.logs(
        (record) => record.level === 'warn' && String(record.msg).startsWith(`${flag} of aad-pod-identity has no effect`),
      );
    await stage.makePod('flagged', 'write');
    await stage.until(() => statusOfPod('flagged') === 'Assigned', 'Assigned');
    await stage.removePod('flagged');
    await stage.until(() => statusOfPod('flagged') === '', 'released');
  });

  it('reads what was written before 1.6, where CRDs are old enough to keep fields that they do not know', async () => {
    const keepUnknown = '/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-preserve-unknown-fields';
    for (const { plural, group } of [azureIdentities, azureIdentityBindings])
      await stage.client.call('PATCH', `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${plural}.${group}`, {
        contentType: jsonPatch,
        body: [{ op: 'add', path: keepUnknown, value: true }],
      });
    const put = (resource: typeof azureIdentities, spec: Record<string, unknown>) => {
      const path = resourcePath(resource, { namespace: 'default', name: 'old' });
      const body = { apiVersion: 'aadpodidentity.k8s.io/v1', kind: resource.kind, metadata: { name: 'old' }, spec };
      // Until every part of the API server has taken up the changed CRD.
      return eventually(async () => {
        const kept = at(await stage.client.call('POST', resourcePath(resource, { namespace: 'default' }), { body }), 'spec');
        if (isRecord(kept) && Object.keys(spec).every((key) => key in kept)) return true;
        await stage.client.call('DELETE', path);
        return false;
      }, `${resource.kind} with its old fields`);
    };
    await put(azureIdentities, { type: 0, ResourceID: idOf('writer'), ClientID: clientIds.writer });
    await put(azureIdentityBindings, { AzureIdentity: 'old', Selector: 'of-old' });
    await start();
    await stage.makePod('old', 'of-old');
    const object = () => stage.assigned.get('default/old-default-old');
    await stage.until(() => statusOf(object()) === 'Assigned', 'Assigned');
    assert.equal(object()?.spec?.azureIdentityRef?.spec?.resourceID, idOf('writer'));
    await stage.removePod('old');
    await stage.until(() => object() === undefined, 'released');
  });
});

/** The object as aad-pod-identity writes it for a pod, an identity and a binding of one name. */
async function asOfMic(name: string) {
  const get = (resource: typeof azureIdentities) => stage.client.call('GET', resourcePath(resource, { namespace: 'default', name }));
  return {
    apiVersion: 'aadpodidentity.k8s.io/v1',
    kind: 'AzureAssignedIdentity',
    metadata: {
      name: `${name}-default-${name}`,
      labels: { nodename: 'node-0' },
      finalizers: ['azureassignedidentity.finalizers.aadpodidentity.k8s.io'],
    },
    spec: {
      azureIdentityRef: await get(azureIdentities),
      azureBindingRef: await get(azureIdentityBindings),
      pod: name,
      podNamespace: 'default',
      nodename: 'node-0',
      replicas: 1,
    },
    status: { status: 'Assigned', availableReplicas: 1 },
  };
}
