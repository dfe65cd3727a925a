// Mistakes of users: each one is reported on the object, its binding and its pod and in one record of the log, and does not disturb other pods.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { brokerCertificateSecretName, webhookConfigurationName } from '../../../api/names.ts';
import { entryOf } from '../../../controller/certificates/testing/entries.ts';
import { jsonPatch } from '../../../lib/kube/client.ts';
import { at, stringAt } from '../../../lib/kube/objects.ts';
import { azureIdentities, configMaps, mutatingWebhookConfigurations, resourcePath } from '../../../lib/kube/resources.ts';
import type { RunningProgram } from '../../harness/program.ts';
import { eventually } from '../../harness/wait.ts';
import { clientIds, group, idOf, pool1 } from '../azure/fixtures.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';
import { annotationOf } from './harness/observations.ts';

let harness: Harness;
let controller: RunningProgram;
const sets = ['Pool1', 'changed', 'unread', 'unwritten', 'denied'];
const scopeOf = (name: string) => `${group}/Microsoft.Compute/virtualMachineScaleSets/${name}`;
const lateClientId = '4444dddd-0000-4000-8000-000000000004';
const otherSubscription = '99999999-0000-4000-8000-000000000009';

before(async () => {
  harness = await startHarness({
    azure: {
      scaleSets: sets.map((name) => ({
        name,
        instances: 1,
        ...(name === 'Pool1' ? { identity: { type: 'UserAssigned', ids: ['third'] } } : {}),
      })),
      virtualMachines: [],
    },
  });
  for (const name of sets) await harness.createNode(`node-${name.toLowerCase()}`, `azure://${scopeOf(name)}/virtualMachines/0`);
  await harness.createIdentity('writer');
  await harness.createBinding('writer', 'writer', 'writer');
  controller = await harness.startController();
});
after(() => harness?.stop());

/** A pod has a good identity and the bad one with this name: the good one is Assigned, the failure of the other is reported. */
async function failsBesideGoodOne(name: string, resourceID: string, reason: string, message: RegExp): Promise<void> {
  await harness.createIdentity(name, { resourceID });
  await harness.createBinding(name, name, name);
  await harness.createBinding(`${name}-good`, 'writer', name);
  await harness.createPod(name, name, { node: 'node-pool1' });
  await harness.untilAssigned(`${name}-default-writer`);
  await isReported(name, name, reason, message);
  await controller.logged((record) => record.msg === 'scope not written' && message.test(String(record.error)));
  await harness.deletePod(name);
  await harness.untilReleased();
}

async function isReported(pod: string, identity: string, reason: string, message: RegExp): Promise<void> {
  const name = `${pod}-default-${identity}`;
  await harness.untilReason(name, reason);
  assert.match(annotationOf(harness.find(name), 'message') ?? '', message);
  assert.equal(harness.status(name), 'Created');
  await harness.untilEvent('Pod', pod, new RegExp(`^${reason}: .*${message.source}`));
  await harness.untilEvent('AzureIdentityBinding', identity, new RegExp(`^binding apply error: .*${message.source}`));
}

describe('a bad identity', () => {
  it('reports an identity of another tenant, which Azure names by subscription only', async () => {
    const foreign = idOf('abroad').replace(/\/subscriptions\/[^/]+/, `/subscriptions/${otherSubscription}`);
    const action = 'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action';
    harness.emulator.addFault({
      fault: 'answer',
      service: 'arm',
      method: 'PATCH',
      identity: foreign,
      status: 403,
      body: {
        error: {
          code: 'LinkedAuthorizationFailed',
          message: `The client has permission to perform action '${action}' on scope '${pool1}', however the current tenant 't' is not authorized to access linked subscription '${otherSubscription}'.`,
        },
      },
    });
    await failsBesideGoodOne('abroad', foreign, 'IdentityNotFound', /subscription does not exist or belongs to another tenant/);
  });

  it('reports an identity that the controller has no right to assign', async () => {
    harness.emulator.addFault({ fault: 'role-missing', identity: idOf('reader') });
    await failsBesideGoodOne(
      'reader',
      idOf('reader'),
      'MissingRole',
      /grant the controller the role Managed Identity Operator on the identity/,
    );
  });

  it('reports a malformed resource id and sends no PATCH for it', async () => {
    await assert.rejects(
      harness.createIdentity('refused', { resourceID: 'writer' }),
      /resourceID is \/subscriptions\/<id>\/resourceGroups/,
    );
    // An object from before this check of the CRD is still there.
    await harness.client.call(
      'PATCH',
      `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${azureIdentities.plural}.${azureIdentities.group}`,
      {
        contentType: jsonPatch,
        body: [{ op: 'remove', path: '/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations' }],
      },
    );
    await eventually(
      () =>
        harness.createIdentity('garbled', { resourceID: `${idOf('writer')}%20` }).then(
          () => true,
          () => false,
        ),
      'the changed CRD in use',
    );
    await harness.createBinding('garbled', 'garbled', 'garbled');
    const before = harness.patches();
    await harness.createPod('garbled', 'garbled', { node: 'node-pool1' });
    await isReported(
      'garbled',
      'garbled',
      'InvalidResourceID',
      /AzureIdentity default\/garbled has spec.resourceID '.*%20': accepted is \/subscriptions/,
    );
    assert.equal(harness.patches(), before);
    await harness.deletePod('garbled');
    await harness.untilReleased();
  });
});

describe('a quarantined identity', () => {
  it('tries a quarantined identity at once when its AzureIdentity changes', async () => {
    await harness.createIdentity('late');
    await harness.createBinding('late', 'late', 'late');
    // A scale set of its own: the budget of trials, which other tests use too, still counts.
    await harness.createPod('late', 'late', { node: 'node-changed' });
    await isReported('late', 'late', 'IdentityNotFound', /./);
    const retryAt = Date.parse(annotationOf(harness.find('late-default-late'), 'retryAt') ?? '');
    assert.ok(retryAt - Date.now() > 30_000, 'without a change this test would end before the next try');
    const identities = Object.entries({ ...clientIds, late: lateClientId }).map(([name, clientId]) => ({ name, clientId }));
    harness.emulator.patchState({ identities });
    await harness.patch(azureIdentities, 'late', { metadata: { annotations: { retry: 'now' } } });
    await harness.untilAssigned('late-default-late');
    await harness.deletePod('late');
    await harness.until(() => harness.count() === 0 && harness.attached(scopeOf('changed')).length === 0, 'detached');
  });
});

describe('missing rights of the controller', () => {
  const cases = [
    ['unread', { fault: 'forbidden', method: 'GET' }, 'MissingRole', /grant the controller the role Virtual Machine Contributor/],
    ['unwritten', { fault: 'forbidden', method: 'PATCH' }, 'MissingRole', /grant the controller the role Virtual Machine Contributor/],
    ['denied', { fault: 'deny-assignment', method: 'PATCH' }, 'DenyAssignment', /the node resource group is locked against changes/],
  ] as const;
  for (const [name, fault, reason, message] of cases)
    it(`reports ${reason} and backs off: ${fault.fault} for ${fault.method}`, async () => {
      const since = harness.emulator.log.last;
      const added = harness.emulator.addFault({ ...fault, resource: scopeOf(name) });
      await harness.createPod(name, 'writer', { node: `node-${name}` });
      await isReported(name, 'writer', reason, message);
      const line = await controller.logged((record) => record.msg === 'scope not written' && message.test(String(record.error)));
      assert.ok(Number(line.retryMs) >= 60_000, 'it does not try again and again');
      // The next pod of this scale set costs no further call and gets the reason; other scale sets are written.
      await harness.createPod(`${name}-second`, 'writer', { node: `node-${name}` });
      await harness.untilReason(`${name}-second-default-writer`, reason);
      await harness.createPod(`${name}-elsewhere`, 'writer', { node: 'node-pool1' });
      await harness.untilAssigned(`${name}-elsewhere-default-writer`);
      const calls = harness
        .armRequests(since)
        .filter((entry) => entry.method === fault.method && entry.path.toLowerCase() === scopeOf(name).toLowerCase());
      assert.equal(calls.length, 1);
      harness.emulator.removeFaults(added);
      for (const pod of [name, `${name}-second`, `${name}-elsewhere`]) await harness.deletePod(pod);
      await harness.untilReleased();
    });
});

describe('thousands of bindings to nothing', () => {
  it('assigns a good pod beside them, with few Events and few log records', async () => {
    const before = controller.log.length;
    const count = 2_000;
    for (let start = 0; start < count; start += 50)
      await Promise.all(
        Array.from({ length: 50 }, (_, index) => start + index).map((index) =>
          harness.createBinding(`nothing-${index}`, `nobody-${index}`, index % 2 === 0 ? 'writer' : `selector-${index}`),
        ),
      );
    await harness.createPod('works', 'writer', { node: 'node-pool1' });
    await harness.untilAssigned('works-default-writer');
    await harness.deletePod('works');
    await harness.untilReleased();
    const items = at(await harness.client.call('GET', '/apis/events.k8s.io/v1/events'), 'items');
    const reported = (Array.isArray(items) ? items : []).filter((item: unknown) =>
      /^nothing-/.test(stringAt(item, 'regarding', 'name') ?? ''),
    );
    assert.ok(reported.length > 0 && reported.length <= 10, `${reported.length} Events about bindings to nothing`);
    const records = controller.log.length - before;
    assert.ok(records < 50, `${records} log records`);
  });
});

describe('two releases by mistake, each in its own namespace', () => {
  const path = resourcePath(mutatingWebhookConfigurations, { name: webhookConfigurationName });
  const bundle = async () => /"caBundle":"[^"]+"/.exec(JSON.stringify(await harness.client.call('GET', path)))?.[0];
  const entry = entryOf('inject', 'default');
  const caBundle = Buffer.from('-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n').toString('base64');
  // Without rules: no webhook runs, and pods must not be refused.
  const webhook = { ...entry, rules: [], clientConfig: { ...entry.clientConfig, caBundle } };

  it('writes nothing while another release owns the webhook, and starts after it', async () => {
    await harness.createNamespace('second');
    await harness.client.call('POST', resourcePath(mutatingWebhookConfigurations), {
      body: {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'MutatingWebhookConfiguration',
        metadata: { name: webhookConfigurationName },
        webhooks: [webhook],
      },
    });
    const firstBundle = await bundle();

    const flag = `--webhook-entries=${JSON.stringify([entryOf('inject', 'second')])}`;
    const second = await harness.startController(['--namespace=second', '--upstream-quiet=2', flag]);
    await second.logged(
      (record) => record.reason === 'OtherReleaseRuns' && String(record.conflict).includes('belongs to the release in namespace default'),
    );
    await harness.untilEvent('Lease', 'aad-pod-identity-controller', /^OtherReleaseRuns: .*Uninstall one of the two$/);
    // The last step of the certificates' reconciler; the step for the webhook configuration is over by then.
    await second.logged((record) => record.secret === brokerCertificateSecretName && record.msg === 'certificate issued');
    assert.equal(await bundle(), firstBundle);
    await harness.createPod('once', 'writer', { node: 'node-pool1' });
    await harness.untilAssigned('once-default-writer');
    const records = at(await harness.client.call('GET', resourcePath(configMaps, { namespace: 'second' })), 'items');
    assert.ok(Array.isArray(records) && !JSON.stringify(records).includes('aad-pod-identity-scope-'));

    // The first release is uninstalled: the second goes on by itself.
    await controller.stop();
    await harness.client.call('DELETE', path);
    await second.logged((record) => record.msg === 'the other controller is gone');
    await harness.createPod('later', 'writer', { node: 'node-unread' });
    await harness.untilAssigned('later-default-writer');
    for (const pod of ['once', 'later']) await harness.deletePod(pod);
    await harness.until(() => harness.count() === 0, 'no object');
  });
});
