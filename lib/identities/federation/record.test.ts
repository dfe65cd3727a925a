import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { FederationRecord } from './record.ts';
import { FederationRecordError, federationRecordName, formatFederationRecord, parseFederationRecord } from './record.ts';

const id = '/subscriptions/s/resourcegroups/g/providers/microsoft.managedidentity/userassignedidentities/reader';
const text = fc.string({ minLength: 1, maxLength: 20 });
const date = fc.integer({ min: 0, max: 4_000_000_000_000 }).map((ms) => new Date(ms).toISOString());
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

/** JSON never gives an object without a prototype. */
const plain = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> => fc.record(model, { noNullPrototype: true });

const records: fc.Arbitrary<FederationRecord> = plain({
  identity: fc.constant(id),
  clientId: text,
  tenantId: text,
  objectId: text,
  issuer: text,
  subject: text,
  audience: text,
  credential: optional(plain({ name: text, owned: fc.boolean(), createdAt: date })),
  provenAt: optional(date),
  former: fc.array(plain({ name: text, unusedSince: date }), { maxLength: 3 }),
  unusedSince: optional(date),
});

const configMapOf = (data: Record<string, string>) => ({ metadata: { name: federationRecordName(id), namespace: 'n' }, data });
const minimal = { identity: id, clientId: 'c', tenantId: 't', objectId: 'o', issuer: 'https://i', subject: 's', audience: 'a' };

describe('parseFederationRecord', () => {
  it('reads what formatFederationRecord wrote', () =>
    fc.assert(
      fc.property(records, (record) => assert.deepEqual(parseFederationRecord(configMapOf(formatFederationRecord(record))), record)),
    ));

  it('reads an id in any case', () => {
    assert.equal(parseFederationRecord(configMapOf({ ...minimal, identity: id.toUpperCase() })).identity, id);
  });

  for (const [what, data] of [
    ['without a client id', { ...minimal, clientId: '' }],
    ['with an identity that is none', { ...minimal, identity: '/subscriptions/s' }],
    ['of another identity', { ...minimal, identity: `${id}2` }],
    ['with a credential that is no JSON', { ...minimal, credential: '{' }],
    ['with a credential without an owner', { ...minimal, credential: '{"name":"n","createdAt":"2026-01-01T00:00:00Z"}' }],
    ['with a former credential without a date', { ...minimal, former: '[{"name":"n"}]' }],
    ['with a proof that is no date', { ...minimal, provenAt: 'yes' }],
  ] as const)
    it(`refuses a record ${what}`, () => {
      assert.throws(() => parseFederationRecord(configMapOf(data)), FederationRecordError);
    });
});
