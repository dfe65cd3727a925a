// Runs against a small API server in memory that knows JSON merge patches, uids, versions and finalizers.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assignedIdentityFinalizer } from '../../api/names.ts';
import { assignmentOf } from '../../lib/identities/assignment.ts';
import { binding, identity, pod } from '../../lib/identities/testing/fixtures.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { isConflict, KubeError } from '../../lib/kube/errors.ts';
import { at, isRecord, stringAt } from '../../lib/kube/objects.ts';
import { createAssignmentClient } from './client.ts';

const theirs = 'example.com/theirs';
const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: 'o1' };
const match = { identity: identity('app/i'), binding: binding('app/b', 'i') };

/** An object as the controller made it, to which somebody added fields of their own. */
const stored = () => ({
  metadata: {
    namespace: 'default',
    name: 'web-app-i',
    uid: 'a1',
    resourceVersion: '7',
    ownerReferences: [owner],
    labels: { nodename: 'n0', team: 'x' },
    annotations: { 'example.com/note': 'kept', 'aadpodidentity.k8s.io/reason': 'AzureError' },
    finalizers: [assignedIdentityFinalizer],
  },
  spec: {
    azureIdentityRef: {
      metadata: { name: 'i', namespace: 'app', labels: { a: 'large' }, annotations: { b: 'large' }, managedFields: ['large'] },
      spec: { type: 0, resourceID: 'old', clientID: 'old', tenantID: 'removed since' },
    },
    azureBindingRef: { metadata: { name: 'b', namespace: 'app' }, spec: { azureIdentity: 'i', selector: 'sel', weight: 3 } },
    pod: 'web',
    podNamespace: 'app',
    nodename: 'n0',
    replicas: 1,
  },
  status: { status: 'Assigned', availableReplicas: 1 },
});

function merge(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const result: Record<string, unknown> = isRecord(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merge(result[key], value);
  }
  return result;
}

function fakeApiServer(start: unknown) {
  let object: unknown = start;
  const conflict = () => new KubeError(409, 'Conflict', 'the object has been modified');
  const finalizers = () => at(object, 'metadata', 'finalizers');
  const client: KubeClient = {
    async call(method, path, options = {}) {
      if (object === undefined) throw new KubeError(404, 'NotFound', 'not found');
      assert.equal(path, '/apis/aadpodidentity.k8s.io/v1/namespaces/default/azureassignedidentities/web-app-i');
      const { body } = options;
      if (method === 'DELETE') {
        const uid = stringAt(body, 'preconditions', 'uid');
        if (uid !== undefined && uid !== stringAt(object, 'metadata', 'uid')) throw conflict();
        const held = finalizers();
        if (!Array.isArray(held) || held.length === 0) object = undefined;
        else object = merge(object, { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } });
        return undefined;
      }
      assert.equal(method, 'PATCH');
      assert.equal(options.contentType, 'application/merge-patch+json');
      for (const key of ['uid', 'resourceVersion']) {
        const expected = stringAt(body, 'metadata', key);
        if (expected !== undefined && expected !== stringAt(object, 'metadata', key)) throw conflict();
      }
      object = merge(merge(object, body), { metadata: { resourceVersion: `${stringAt(object, 'metadata', 'resourceVersion')}0` } });
      return object;
    },
    // biome-ignore lint/correctness/useYield: nothing watches here.
    async *watch() {
      throw new Error('not used');
    },
    close: async () => undefined,
  };
  return {
    client,
    get object() {
      return object;
    },
    /** What another writer does. */
    change(patch: unknown): void {
      object = merge(merge(object, patch), { metadata: { resourceVersion: '8' } });
    },
    /** What the cache holds of the object now. */
    cached() {
      const cached = assignmentOf(object);
      assert.ok(cached);
      return cached;
    },
  };
}

describe('update of an AzureAssignedIdentity', () => {
  async function updated(restart: boolean) {
    const server = fakeApiServer(stored());
    await createAssignmentClient(server.client).update(pod(), match, server.cached(), restart);
    return server.object;
  }

  it('keeps the fields of others on update', async () => {
    const object = await updated(true);
    assert.deepEqual(at(object, 'metadata', 'ownerReferences'), [owner]);
    assert.equal(at(object, 'spec', 'replicas'), 1);
    assert.deepEqual(at(object, 'metadata', 'labels'), { nodename: 'n1', team: 'x' });
    assert.equal(at(object, 'metadata', 'annotations', 'example.com/note'), 'kept');
  });

  it('replaces identity and binding with what they are now on update', async () => {
    const object = await updated(false);
    assert.deepEqual(at(object, 'spec', 'azureIdentityRef'), match.identity.object);
    assert.deepEqual(at(object, 'spec', 'azureBindingRef'), match.binding.object);
    assert.equal(JSON.stringify(object).includes('large'), false);
    assert.equal(at(object, 'spec', 'nodename'), 'n1');
  });

  it('keeps status and reason on update without restart', async () => {
    const object = await updated(false);
    assert.equal(at(object, 'status', 'status'), 'Assigned');
    assert.equal(at(object, 'metadata', 'annotations', 'aadpodidentity.k8s.io/reason'), 'AzureError');
    assert.equal(at(object, 'metadata', 'annotations', 'aadpodidentity.k8s.io/pod-uid'), 'u1');
  });

  it('sets an object to Created without a reason on restart', async () => {
    const object = await updated(true);
    assert.equal(at(object, 'status', 'status'), 'Created');
    assert.equal(at(object, 'metadata', 'annotations', 'aadpodidentity.k8s.io/reason'), undefined);
  });

  it('adds its finalizer where it is missing and keeps others on update', async () => {
    const server = fakeApiServer({ ...stored(), metadata: { ...stored().metadata, finalizers: [theirs] } });
    await createAssignmentClient(server.client).update(pod(), match, server.cached(), false);
    assert.deepEqual(at(server.object, 'metadata', 'finalizers'), [theirs, assignedIdentityFinalizer]);
  });

  it('rejects with a conflict on update of an object that has changed', async () => {
    const server = fakeApiServer(stored());
    const cached = server.cached();
    server.change({ metadata: { finalizers: [assignedIdentityFinalizer, theirs] } });
    await assert.rejects(createAssignmentClient(server.client).update(pod(), match, cached, false), isConflict);
    assert.equal(at(server.object, 'spec', 'nodename'), 'n0');
  });
});

describe('release of an AzureAssignedIdentity', () => {
  it('removes an object that only its own finalizer holds', async () => {
    const server = fakeApiServer(stored());
    await createAssignmentClient(server.client).release(server.cached());
    assert.equal(server.object, undefined);
  });

  it('keeps a finalizer that somebody added since the object was cached', async () => {
    const server = fakeApiServer(stored());
    const client = createAssignmentClient(server.client);
    const cached = server.cached();
    server.change({ metadata: { finalizers: [assignedIdentityFinalizer, theirs] } });
    await assert.rejects(client.release(cached), isConflict);
    await client.release(server.cached());
    assert.deepEqual(at(server.object, 'metadata', 'finalizers'), [theirs]);
    assert.equal(at(server.object, 'status', 'status'), 'Unassigned');
    assert.notEqual(at(server.object, 'metadata', 'deletionTimestamp'), undefined);
  });

  it('succeeds for an object that is gone', async () => {
    const server = fakeApiServer(undefined);
    const cached = assignmentOf(stored());
    assert.ok(cached);
    await createAssignmentClient(server.client).release(cached);
  });
});
