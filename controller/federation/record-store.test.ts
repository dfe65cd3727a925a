import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FederationRecord } from '../../lib/identities/federation/record.ts';
import { FederationRecordError, federationRecordName, formatFederationRecord } from '../../lib/identities/federation/record.ts';
import type { ListedRecord } from '../../lib/identities/federation/records.ts';
import { fakeInformer } from '../../lib/identities/testing/informers.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { KubeError } from '../../lib/kube/errors.ts';
import { createRecordStore } from './record-store.ts';
import { identityId, trust } from './testing/harness.ts';

const name = federationRecordName(identityId);
const key = `release/${name}`;
const record: FederationRecord = {
  identity: identityId,
  clientId: 'client',
  tenantId: 'tenant',
  objectId: 'object',
  ...trust,
  credential: undefined,
  provenAt: undefined,
  former: [],
  unusedSince: undefined,
};
const proven = { ...record, provenAt: '2025-12-01T00:00:10Z' };

/** An API server that gives each write the next version, and an informer that the test brings up to date. */
function fakes() {
  const informer = fakeInformer<ListedRecord>();
  const calls: string[] = [];
  /** Of the next calls: an error is thrown. */
  const answers: unknown[] = [];
  let version = Number(informer.resourceVersion);
  const client = {
    async call(method: string, path: string) {
      calls.push(`${method} ${path.split('/').at(-1)}`);
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      if (answer !== undefined) return answer;
      version += 1;
      return { metadata: { resourceVersion: String(version) } };
    },
  } as unknown as KubeClient;
  return { informer, calls, answers, records: createRecordStore({ client, namespace: 'release', informer }) };
}

describe('the store of federation records', () => {
  it('reads without a call', () => {
    const { records, informer, calls } = fakes();
    assert.deepEqual(records.load(identityId), { record: undefined, resourceVersion: undefined });
    informer.put(key, { ...record, resourceVersion: '7' });
    assert.deepEqual(records.load(identityId), { record, resourceVersion: '7' });
    assert.deepEqual(calls, []);
  });

  it('gives what it saved until the informer knows that or more', async () => {
    const { records, informer, calls } = fakes();
    const first = await records.save(records.load(identityId), record);
    assert.deepEqual(records.load(identityId), first);
    const second = await records.save(first, proven);
    informer.put(key, { ...record, resourceVersion: '2' });
    assert.deepEqual(records.load(identityId), second);
    informer.put(key, { ...proven, resourceVersion: '3' });
    assert.deepEqual(records.load(identityId), { record: proven, resourceVersion: '3' });
    informer.remove(key);
    assert.equal(records.load(identityId).record, undefined);
    assert.deepEqual(calls, ['POST configmaps', `PATCH ${name}`]);
  });

  it('throws for the record of another identity under its name', () => {
    const { records, informer } = fakes();
    informer.put(key, { ...record, identity: `${identityId}-other`, resourceVersion: '8' });
    assert.throws(() => records.load(identityId), /is the record of .*-other, not of /);
  });

  it('throws at a save over a record that cannot be understood', async () => {
    const { records, answers } = fakes();
    answers.push(new KubeError(409, 'AlreadyExists', 'there is one'), { metadata: { name }, data: { identity: identityId } });
    await assert.rejects(records.save(records.load(identityId), record), FederationRecordError);
    const exists = new KubeError(409, 'AlreadyExists', 'the informer is behind');
    answers.push(exists, { metadata: { name }, data: formatFederationRecord(record) });
    await assert.rejects(records.save(records.load(identityId), record), exists);
  });
});
