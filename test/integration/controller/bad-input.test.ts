// What people get wrong (issue 7): each mistake is told where they look, on the object, its binding and its pod and in one line of the log, and
// disturbs nobody else.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { brokerCertificateSecretName, webhookConfigurationName } from '../../../api/names.ts';
import { at, stringAt } from '../../../lib/kube/objects.ts';
import { configMaps, mutatingWebhookConfigurations, resourcePath } from '../../../lib/kube/resources.ts';
import { clientIds, group, idOf, pool1 } from '../azure/support.ts';
import type { ControllerProcess, Stage } from './stage.ts';
import { eventually, notesOf, setStage, statusOf, untilEvent } from './stage.ts';

let stage: Stage;
let controller: ControllerProcess;
const sets = ['Pool1', 'unread', 'unwritten', 'denied'];
const scopeOf = (name: string) => `${group}/Microsoft.Compute/virtualMachineScaleSets/${name}`;
const otherSubscription = '99999999-0000-4000-8000-000000000009';

before(async () => {
  stage = await setStage({
    scaleSets: sets.map((name) => ({
      name,
      instances: 1,
      ...(name === 'Pool1' ? { identity: { type: 'UserAssigned', ids: ['third'] } } : {}),
    })),
    virtualMachines: [],
    identities: Object.entries(clientIds).map(([name, clientId]) => ({ name, clientId })),
  });
  for (const name of sets) await stage.makeNode(`node-${name.toLowerCase()}`, `azure://${scopeOf(name)}/virtualMachines/0`);
  await stage.makeIdentity('writer');
  await stage.makeBinding('writer', 'writer', 'writer');
  controller = await stage.startController();
});
after(() => stage?.stop());

const assigned = (pod: string, identity: string) => stage.assigned.get(`default/${pod}-default-${identity}`);
const isAssigned = (pod: string, identity: string) => () => statusOf(assigned(pod, identity)) === 'Assigned';
const cleared = () => stage.until(() => [...stage.assigned.values()].length === 0 && stage.attached().join() === 'third', 'all gone');

/** The pod has two identities, of which the good one works; `name` is told why the other does not. */
async function toldBesideAGoodOne(name: string, resourceID: string, reason: string, message: RegExp): Promise<void> {
  await stage.makeIdentity(name, { resourceID });
  await stage.makeBinding(name, name, name);
  await stage.makeBinding(`${name}-good`, 'writer', name);
  await stage.makePod(name, name, { node: 'node-pool1' });
  await stage.until(isAssigned(name, 'writer'), 'the good one is Assigned');
  await told(name, name, reason, message);
  await controller.logs((record) => record.msg === 'scope not written' && message.test(String(record.error)));
  await stage.removePod(name);
  await cleared();
}

async function told(pod: string, identity: string, reason: string, message: RegExp): Promise<void> {
  await stage.until(() => notesOf(assigned(pod, identity), 'reason') === reason, `reason ${reason}`);
  assert.match(notesOf(assigned(pod, identity), 'message') ?? '', message);
  assert.equal(statusOf(assigned(pod, identity)), 'Created');
  await untilEvent(stage.client, 'Pod', pod, new RegExp(`^${reason}: .*${message.source}`));
  await untilEvent(stage.client, 'AzureIdentityBinding', identity, new RegExp(`^binding apply error: .*${message.source}`));
}

describe('an identity', () => {
  it('of another tenant, which Azure names by its subscription only', async () => {
    const foreign = idOf('abroad').replace(/\/subscriptions\/[^/]+/, `/subscriptions/${otherSubscription}`);
    const action = 'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action';
    stage.emulator.addFault({
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
    await toldBesideAGoodOne('abroad', foreign, 'IdentityNotFound', /subscription does not exist or belongs to another tenant/);
  });

  it('that the controller may not assign', async () => {
    stage.emulator.addFault({ fault: 'role-missing', identity: idOf('reader') });
    await toldBesideAGoodOne(
      'reader',
      idOf('reader'),
      'MissingRole',
      /grant the controller the role Managed Identity Operator on the identity/,
    );
  });

  it('with a garbled id, which never reaches Azure', async () => {
    await assert.rejects(stage.makeIdentity('refused', { resourceID: 'writer' }), /resourceID is \/subscriptions\/<id>\/resourceGroups/);
    // The schema lets pass what our own check does not.
    await stage.makeIdentity('garbled', { resourceID: `${idOf('writer')}%20` });
    await stage.makeBinding('garbled', 'garbled', 'garbled');
    const before = stage.patches();
    await stage.makePod('garbled', 'garbled', { node: 'node-pool1' });
    await told(
      'garbled',
      'garbled',
      'InvalidResourceID',
      /AzureIdentity default\/garbled has spec.resourceID '.*%20': accepted is \/subscriptions/,
    );
    assert.equal(stage.patches(), before);
    await stage.removePod('garbled');
    await cleared();
  });
});

describe('the controller’s own rights', () => {
  const cases = [
    ['unread', { fault: 'forbidden', method: 'GET' }, 'MissingRole', /grant the controller the role Virtual Machine Contributor/],
    ['unwritten', { fault: 'forbidden', method: 'PATCH' }, 'MissingRole', /grant the controller the role Virtual Machine Contributor/],
    ['denied', { fault: 'deny-assignment', method: 'PATCH' }, 'DenyAssignment', /the node resource group is locked against changes/],
  ] as const;
  for (const [name, fault, reason, message] of cases)
    it(`do not suffice: ${fault.fault} for ${fault.method}`, async () => {
      const since = stage.emulator.log.last;
      const added = stage.emulator.addFault({ ...fault, resource: scopeOf(name) });
      await stage.makePod(name, 'writer', { node: `node-${name}` });
      await told(name, 'writer', reason, message);
      const line = await controller.logs((record) => record.msg === 'scope not written' && message.test(String(record.error)));
      assert.ok(Number(line.retryMs) >= 60_000, 'it does not try again and again');
      // Another scale set is not touched by it, and the next pod of this one costs no further call, but is told.
      await stage.makePod(`${name}-second`, 'writer', { node: `node-${name}` });
      await stage.until(() => notesOf(assigned(`${name}-second`, 'writer'), 'reason') === reason, 'the second pod is told, too');
      await stage.makePod(`${name}-elsewhere`, 'writer', { node: 'node-pool1' });
      await stage.until(isAssigned(`${name}-elsewhere`, 'writer'), 'assigned elsewhere');
      const calls = stage.emulator.log
        .list(since)
        .filter(
          (entry) => entry.kind === 'request' && entry.method === fault.method && entry.path.toLowerCase() === scopeOf(name).toLowerCase(),
        );
      assert.equal(calls.length, 1);
      stage.emulator.removeFaults(added);
      for (const pod of [name, `${name}-second`, `${name}-elsewhere`]) await stage.removePod(pod);
      await cleared();
    });
});

describe('thousands of bindings to nothing', () => {
  it('cost the pods that work neither their turn nor their Events, whether they select them or nobody', async () => {
    let lines = 0;
    // Never fits, so it sees every record.
    const counting = controller.logs(() => {
      lines += 1;
      return false;
    });
    counting.catch(() => undefined);
    const already = lines;
    const count = 2_000;
    for (let start = 0; start < count; start += 50)
      await Promise.all(
        Array.from({ length: 50 }, (_, index) => start + index).map((index) =>
          stage.makeBinding(`nothing-${index}`, `nobody-${index}`, index % 2 === 0 ? 'writer' : `selector-${index}`),
        ),
      );
    await stage.makePod('works', 'writer', { node: 'node-pool1' });
    await stage.until(isAssigned('works', 'writer'), 'Assigned');
    await stage.removePod('works');
    await cleared();
    const items = at(await stage.client.call('GET', '/apis/events.k8s.io/v1/events'), 'items');
    const told = (Array.isArray(items) ? items : []).filter((item: unknown) => /^nothing-/.test(stringAt(item, 'regarding', 'name') ?? ''));
    assert.ok(told.length > 0 && told.length <= 10, `${told.length} Events about bindings to nothing`);
    assert.ok(lines - already < 50, `${lines - already} log records`);
  });
});

describe('two controllers by mistake, each for a namespace of its own', () => {
  const path = resourcePath(mutatingWebhookConfigurations, { name: webhookConfigurationName });
  const bundle = async () => /"caBundle":"[^"]+"/.exec(JSON.stringify(await stage.client.call('GET', path)))?.[0];
  const webhook = {
    name: 'pods.aadpodidentity.k8s.io',
    admissionReviewVersions: ['v1'],
    sideEffects: 'None',
    failurePolicy: 'Ignore',
    clientConfig: { service: { namespace: 'default', name: 'aad-pod-identity-webhook', path: '/mutate' } },
  };

  it('do not fight: the one that the webhook does not belong to says so and leaves objects, Azure and the webhook alone', async () => {
    await stage.client.call('POST', '/api/v1/namespaces', { body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'second' } } });
    await stage.client.call('POST', resourcePath(mutatingWebhookConfigurations), {
      body: {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'MutatingWebhookConfiguration',
        metadata: { name: webhookConfigurationName },
        webhooks: [webhook],
      },
    });
    await eventually(async () => (await bundle()) !== undefined, 'the first one puts its CA there');
    const before = await bundle();

    const second = await stage.startController(['--namespace=second', '--upstream-quiet=2']);
    await second.logs(
      (record) => record.reason === 'OtherReleaseRuns' && String(record.msg).includes('belongs to the release in namespace default'),
    );
    await untilEvent(stage.client, 'Lease', 'aad-pod-identity-controller', /^OtherReleaseRuns: .*Uninstall one of the two$/);
    // Made in the last step of a pass over the certificates, which by then has passed by the webhook.
    await second.logs((record) => record.secret === brokerCertificateSecretName && record.msg === 'certificate issued');
    assert.equal(await bundle(), before);
    await stage.makePod('once', 'writer', { node: 'node-pool1' });
    await stage.until(isAssigned('once', 'writer'), 'Assigned by the first');
    const records = at(await stage.client.call('GET', resourcePath(configMaps, { namespace: 'second' })), 'items');
    assert.ok(Array.isArray(records) && !JSON.stringify(records).includes('aad-pod-identity-scope-'));

    // Uninstalled: the other goes on by itself.
    await controller.end();
    await stage.client.call('DELETE', path);
    await second.logs((record) => String(record.msg).endsWith('going on'));
    await stage.makePod('later', 'writer', { node: 'node-unread' });
    await stage.until(isAssigned('later', 'writer'), 'Assigned by the second');
    for (const pod of ['once', 'later']) await stage.removePod(pod);
    await stage.until(() => [...stage.assigned.values()].length === 0, 'no object');
  });
});
