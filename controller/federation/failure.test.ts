import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FederationRecord } from '../../lib/identities/federation/record.ts';
import { FederationRecordError } from '../../lib/identities/federation/record.ts';
import type { Failure } from './failure.ts';
import { failureOf, failureOfProof, retryMsOf } from './failure.ts';
import { BrokerUnavailableError } from './proof-client.ts';
import { identityId, ownName, refused, trust } from './testing/harness.ts';

const made = Date.UTC(2026, 0, 1);
const minutes = (count: number) => made + count * 60_000;
const record: FederationRecord = {
  identity: identityId,
  clientId: 'client',
  tenantId: 'tenant',
  objectId: 'object',
  ...trust,
  credential: { name: ownName, owned: true, createdAt: new Date(made).toISOString() },
  provenAt: undefined,
  former: [],
  unusedSince: undefined,
};

describe('failureOf', () => {
  it('names the action, a built-in role and a custom one where a role is missing', () => {
    const { reason, message } = failureOf(refused('missingRole', { action: 'the/action' }), identityId) ?? {};
    assert.equal(reason, 'MissingRole');
    for (const part of [
      /with the action the\/action/,
      /az role assignment create --role 'Managed Identity Contributor'/,
      /federatedIdentityCredentials\/write/,
    ])
      assert.match(message ?? '', part);
    assert.ok(message?.includes(`--scope ${identityId}`));
  });

  it('knows a broker that does not answer, and a record that nobody can read', () => {
    assert.equal(failureOf(new BrokerUnavailableError('x'), identityId)?.reason, 'BrokerUnavailable');
    assert.match(failureOf(new FederationRecordError('data.x'), identityId)?.message ?? '', /data.x: correct it, or delete it/);
    assert.equal(failureOf(new Error('the API server'), identityId), undefined);
  });
});

describe('failureOfProof', () => {
  const cases: [what: string, aadsts: number | undefined, retryable: boolean, at: number, reason: string][] = [
    ['an unknown credential that is young', 700213, false, minutes(9), 'Federating'],
    ['an unknown credential that is old', 700213, false, minutes(11), 'FederationRefused'],
    ['an unknown issuer in the old number', 70021, false, minutes(1), 'Federating'],
    ['an issuer that Entra cannot read', 90061, true, minutes(60), 'IssuerUnreachable'],
    ['an unknown application that is young', 700016, false, minutes(1), 'Federating'],
    ['an unknown application', 700016, false, minutes(11), 'IdentityNotFound'],
    ['a refusal that nobody knows', undefined, false, minutes(1), 'FederationRefused'],
    ['what passes by itself', 90033, true, minutes(60), 'Federating'],
  ];
  for (const [what, aadsts, retryable, at, reason] of cases)
    it(`says ${reason} of ${what}`, () => {
      const failed = { outcome: 'failed', message: 'AADSTS', retryable, ...(aadsts === undefined ? {} : { aadsts }) } as const;
      assert.equal(failureOfProof(failed, record, at).reason, reason);
    });

  it('names issuer, subject and audience that Entra does not know', () => {
    const { message } = failureOfProof(
      { outcome: 'failed', aadsts: 700211, message: 'AADSTS700211', retryable: false },
      record,
      minutes(11),
    );
    for (const part of Object.values(trust)) assert.ok(message.includes(`'${part}'`), part);
  });
});

describe('retryMsOf', () => {
  const failure = (retry: Failure['retry'], retryAfterSeconds?: number): Failure => ({
    reason: 'AzureError',
    message: '',
    retry,
    retryAfterSeconds,
  });

  it('doubles up to the longest wait', () => {
    const waits = [1, 2, 3, 30].map((failures) => retryMsOf(failure('1 to 30 s'), failures, () => 1));
    assert.deepEqual(waits, [1_000, 2_000, 4_000, 30_000]);
    assert.equal(
      retryMsOf(failure('1 min to 1 h'), 30, () => 1),
      3_600_000,
    );
  });

  it('waits as long as Azure says', () =>
    assert.equal(
      retryMsOf(failure('when Azure says', 7), 1, () => 0),
      7_000,
    ));
});
