// Beside aad-pod-identity: its controller (MIC) runs, has run, or left objects behind; and the mode `managed`, in which nothing is written.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { setInterval as every } from 'node:timers/promises';
import { annotations } from '../../../api/names.ts';
import { jsonPatch } from '../../../lib/kube/client.ts';
import { isAlreadyExists } from '../../../lib/kube/errors.ts';
import { at, isRecord } from '../../../lib/kube/objects.ts';
import { azureAssignedIdentities, azureIdentities, azureIdentityBindings, endpoints, resourcePath } from '../../../lib/kube/resources.ts';
import type { RunningProgram } from '../../harness/program.ts';
import { eventually } from '../../harness/wait.ts';
import { clientIds, idOf, pool1 } from '../azure/fixtures.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';
import { annotationOf, statusOf } from './harness/observations.ts';

let harness: Harness;
const controllers: RunningProgram[] = [];
/** What stops each of them; may be called twice. */
const mics: (() => Promise<void>)[] = [];

before(async () => {
  harness = await startHarness();
  await harness.createNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await harness.createIdentity('writer');
  await harness.createBinding('writer', 'writer', 'write');
  const federate = { annotations: { [annotations.assignment]: 'federate' } };
  await harness.createIdentity('federated', { resourceID: idOf('reader') }, federate);
  await harness.createBinding('federated', 'federated', 'federate');
});

after(() => harness?.stop());
afterEach(async () => {
  await Promise.all(mics.splice(0).map((stop) => stop()));
  await Promise.all(controllers.splice(0).map((controller) => controller.stop()));
});

async function start(...flags: string[]): Promise<RunningProgram> {
  const controller = await harness.startController(['--upstream-quiet=2', ...flags]);
  controllers.push(controller);
  return controller;
}

const statusOfPod = (name: string) => harness.status(`${name}-default-writer`);
const lockPath = resourcePath(endpoints, { namespace: 'default', name: 'aad-pod-identity-mic' });
const leads = (record: Record<string, unknown>) => record.msg === 'leading';

/** Renews the leader lock as MIC does, until it is stopped. */
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
  await harness.client.call('POST', resourcePath(endpoints, { namespace: 'default' }), { body: body() }).catch((error: unknown) => {
    if (!isAlreadyExists(error)) throw error;
  });
  const renewing = (async () => {
    try {
      for await (const _ of every(200, undefined, { signal: stopping.signal }))
        await harness.client.call('PATCH', lockPath, { contentType: 'application/merge-patch+json', body: body() });
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
  it('writes nothing while MIC renews its lock, and starts when MIC is silent', async () => {
    const stopMic = await startMic();
    const since = harness.emulator.log.last;
    const controller = await start();
    await controller.logged(leads);
    await harness.createPod('held', 'write');
    await harness.createPod('held-federated', 'federate');
    await harness.untilEvent('Endpoints', 'aad-pod-identity-mic', /^UpstreamControllerRuns: MIC mic-0 of aad-pod-identity still renews/);
    await controller.logged((record) => String(record.conflict).includes('still renews its lock'));
    assert.equal(harness.count(), 0);
    assert.deepEqual(harness.armRequests(since), []);
    await harness.deletePod('held-federated');
    await stopMic();
    await harness.untilAssigned('held-default-writer');
  });

  it('writes beside a lock that somebody renews for ever, with ignoreUpstreamLock', async () => {
    const stopForger = await startMic();
    await harness.createPod('beside', 'write');
    const controller = await start();
    const heard = await controller.logged((record) => String(record.conflict).includes('still renews its lock'));
    assert.match(String(heard.conflict), /MIC mic-0 .*set controller\.ignoreUpstreamLock=true/);
    await controller.stop();
    await start('--ignore-upstream-lock');
    await harness.untilAssigned('beside-default-writer');
    await harness.deletePod('beside');
    await harness.until(() => statusOfPod('beside') === '', 'the object is gone');
    await stopForger();
  });

  it('stops writing when MIC comes back', async () => {
    const controller = await start();
    await harness.createPod('first', 'write');
    await harness.untilAssigned('first-default-writer');
    // The lock of the test before may have counted when the controller started.
    const earlier = new Set(controller.log);
    const stopMic = await startMic();
    await controller.logged((record) => !earlier.has(record) && String(record.conflict).includes('still renews its lock'));
    const before = harness.patches();
    await harness.createPod('second', 'write');
    for (const pod of ['held', 'first']) await harness.deletePod(pod);
    await stopMic();
    assert.equal(statusOfPod('second'), '');
    assert.equal(statusOfPod('first'), 'Assigned');
    assert.equal(harness.patches(), before);
    await harness.until(() => statusOfPod('second') === 'Assigned' && statusOfPod('first') === '', 'done after the MIC is silent');
    await harness.deletePod('second');
    await harness.untilReleased();
  });

  it('deletes objects and detaches nothing when its mode becomes managed', async () => {
    const standard = await start();
    await harness.createPod('changed', 'write');
    await harness.untilAssigned('changed-default-writer');
    await standard.stop();
    const before = harness.patches();
    await start('--operation-mode=managed');
    await harness.until(() => harness.find('changed-default-writer') === undefined, 'released, though its pod lives');
    assert.equal(harness.patches(), before);
    assert.ok(harness.attached().includes('writer'));
    await harness.deletePod('changed');
    await Promise.all(controllers.splice(0).map((controller) => controller.stop()));
    await start();
    await harness.until(() => harness.attached().join() === 'third', 'detached once the mode is standard again: the record was kept');
    await Promise.all(controllers.splice(0).map((controller) => controller.stop()));
  });

  it('writes neither objects nor Azure in mode managed', async () => {
    const since = harness.emulator.log.last;
    const controller = await start('--operation-mode=managed');
    await controller.logged(leads);
    await harness.createPod('managed', 'write');
    await harness.createPod('managed-federated', 'federate');
    await harness.createPod('missed', 'write', { injected: false });
    // The Event of the second pod shows that the leader has processed both.
    await harness.untilEvent('Pod', 'missed', /^NotInjected/);
    const list = await harness.client.call('GET', resourcePath(azureAssignedIdentities));
    assert.deepEqual((list as { items: unknown[] }).items, []);
    assert.deepEqual(harness.armRequests(since), []);
    for (const pod of ['managed', 'managed-federated', 'missed']) await harness.deletePod(pod);
  });

  for (const adopt of [false, true])
    it(`takes over what MIC assigned without a PATCH, with adoptAttached=${adopt}`, async () => {
      const name = `taken-${adopt}`;
      await harness.createIdentity(name, { resourceID: idOf('third') });
      await harness.createBinding(name, name, name);
      await harness.createPod(name, name);
      await harness.client.call('POST', resourcePath(azureAssignedIdentities, { namespace: 'default' }), { body: await asOfMic(name) });
      const before = harness.patches();
      await start(`--adopt-attached=${adopt}`);
      const object = () => harness.find(`${name}-default-${name}`);
      await harness.until(
        () => annotationOf(object(), 'clientId') === clientIds.third && annotationOf(object(), 'podUid') !== undefined,
        'taken over',
      );
      assert.equal(statusOf(object()), 'Assigned');
      assert.equal(harness.patches(), before);
      await harness.deletePod(name);
      await harness.until(() => object() === undefined, 'released');
      if (adopt) await harness.until(() => !harness.attached().includes('third'), 'detached');
      else assert.deepEqual(harness.attached(), ['third']);
    });

  it('deletes objects that MIC left of deleted pods, with their finalizer', async () => {
    await harness.createIdentity('orphan');
    await harness.createBinding('orphan', 'orphan', 'orphan');
    await harness.client.call('POST', resourcePath(azureAssignedIdentities, { namespace: 'default' }), { body: await asOfMic('orphan') });
    await start();
    await harness.until(() => harness.find('orphan-default-orphan') === undefined, 'deleted');
  });

  it('accepts the flags of MIC and warns about those without effect', async () => {
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
      await controller.logged(
        (record) => record.level === 'warn' && String(record.msg).startsWith(`${flag} of aad-pod-identity has no effect`),
      );
    await harness.createPod('flagged', 'write');
    await harness.untilAssigned('flagged-default-writer');
    await harness.deletePod('flagged');
    await harness.until(() => statusOfPod('flagged') === '', 'released');
  });

  it('reads capitalised fields from before version 1.6 of aad-pod-identity', async () => {
    const keepUnknown = '/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-preserve-unknown-fields';
    for (const { plural, group } of [azureIdentities, azureIdentityBindings])
      await harness.client.call('PATCH', `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${plural}.${group}`, {
        contentType: jsonPatch,
        body: [{ op: 'add', path: keepUnknown, value: true }],
      });
    const put = (resource: typeof azureIdentities, spec: Record<string, unknown>) => {
      const path = resourcePath(resource, { namespace: 'default', name: 'old' });
      const body = { apiVersion: 'aadpodidentity.k8s.io/v1', kind: resource.kind, metadata: { name: 'old' }, spec };
      // Repeated until every part of the API server uses the changed CRD.
      return eventually(async () => {
        const kept = at(await harness.client.call('POST', resourcePath(resource, { namespace: 'default' }), { body }), 'spec');
        if (isRecord(kept) && Object.keys(spec).every((key) => key in kept)) return true;
        await harness.client.call('DELETE', path);
        return false;
      }, `${resource.kind} with its old fields`);
    };
    await put(azureIdentities, { type: 0, ResourceID: idOf('writer'), ClientID: clientIds.writer });
    await put(azureIdentityBindings, { AzureIdentity: 'old', Selector: 'of-old' });
    await start();
    await harness.createPod('old', 'of-old');
    const object = () => harness.find('old-default-old');
    await harness.untilAssigned('old-default-old');
    assert.equal(object()?.spec?.azureIdentityRef?.spec?.resourceID, idOf('writer'));
    await harness.deletePod('old');
    await harness.until(() => object() === undefined, 'released');
  });
});

/** The object as aad-pod-identity writes it for a pod, an identity and a binding of one name. */
async function asOfMic(name: string) {
  const get = (resource: typeof azureIdentities) => harness.client.call('GET', resourcePath(resource, { namespace: 'default', name }));
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
