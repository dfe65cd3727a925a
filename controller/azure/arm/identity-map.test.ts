import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { AttachedIdentity, IdentityKind, ObservedIdentity, WireIdentity, Write } from './identity-map.ts';
import { identityKindOf, identityTypes, splitIntoPatches, wireIdentity } from './identity-map.ts';

const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(
  (name) => `/subscriptions/s/resourcegroups/rg/providers/microsoft.managedidentity/userassignedidentities/${name}`,
);
const [a = '', b = '', c = ''] = ids;
const live: AttachedIdentity = { clientId: 'client', principalId: 'principal' };

const hasSystem = (type: IdentityKind) => type.startsWith('SystemAssigned');
const hasUser = (type: IdentityKind) => type.endsWith('UserAssigned');
const seen = (type: IdentityKind, ...attached: string[]): ObservedIdentity => ({
  type,
  identities: new Map(attached.map((id) => [id, live])),
});

/** ARM's part of a PATCH: it replaces the type and merges the map (docs/reference/arm.md#the-identity-property). A new entry is live. */
function arm(before: ObservedIdentity, patch: WireIdentity): ObservedIdentity {
  const map = patch.userAssignedIdentities;
  if (!hasUser(patch.type)) {
    assert.equal(map, undefined, 'ARM refuses a map with a type that has no user-assigned identities');
    return { type: patch.type, identities: new Map() };
  }
  const identities = new Map(before.identities);
  for (const [id, value] of Object.entries(map ?? {})) {
    if (value === null) identities.delete(id);
    else if (!identities.has(id)) identities.set(id, live);
  }
  assert.notEqual(identities.size, 0, 'ARM refuses UserAssigned without any');
  return { type: patch.type, identities };
}

/** Carries out one write as compute.ts does: the body is made from the state at that moment. */
function carryOut(before: ObservedIdentity, write: Write): ObservedIdentity {
  const patch = wireIdentity(write, before);
  return patch === undefined ? before : arm(before, patch);
}

const situations = fc.record({
  system: fc.boolean(),
  attached: fc.dictionary(fc.constantFrom(...ids), fc.constantFrom(live, null)),
  add: fc.uniqueArray(fc.constantFrom(...ids)),
  remove: fc.uniqueArray(fc.constantFrom(...ids)),
  owned: fc.uniqueArray(fc.constantFrom(...ids)),
  entries: fc.integer({ min: 1, max: 4 }),
});

function start(situation: { system: boolean; attached: Record<string, AttachedIdentity> }): ObservedIdentity {
  const identities = new Map(Object.entries(situation.attached));
  const user = identities.size > 0;
  return {
    type: situation.system ? (user ? 'SystemAssigned, UserAssigned' : 'SystemAssigned') : user ? 'UserAssigned' : 'None',
    identities,
  };
}

test('plans writes that reach the change and never touch foreign identities', () => {
  fc.assert(
    fc.property(situations, (situation) => {
      const owned = new Set(situation.owned);
      const before = start(situation);
      const writes = splitIntoPatches(before, { ...situation, owned }, situation.entries);
      let now = before;
      for (const write of writes) {
        now = carryOut(now, write);
        assert.equal(hasSystem(now.type), situation.system, 'the system-assigned identity is preserved');
        for (const [id, value] of before.identities)
          if (!owned.has(id)) assert.equal(now.identities.get(id), value, 'nothing foreign is removed');
        assert.ok(write.attach.length + write.detach.length <= situation.entries);
        assert.ok(write.attach.length + write.detach.length > 0, 'no write without a reason');
      }
      const gone = situation.remove.filter((id) => owned.has(id) && !situation.add.includes(id));
      const expected = new Set([...before.identities.keys(), ...situation.add].filter((id) => !gone.includes(id)));
      assert.deepEqual(new Set(now.identities.keys()), expected);
      for (const id of situation.add)
        if (owned.has(id)) assert.deepEqual(now.identities.get(id), live, 'a recreated identity of ours is live again');
    }),
    { numRuns: 2000 },
  );
});

test('plans no write for a state that is as wanted', () => {
  fc.assert(
    fc.property(situations, (situation) => {
      const change = { ...situation, owned: new Set(situation.owned) };
      let now = start(situation);
      for (const write of splitIntoPatches(now, change)) now = carryOut(now, write);
      assert.deepEqual(splitIntoPatches(now, change), []);
    }),
  );
});

test('keeps every needed identity attached between the planned writes', () => {
  fc.assert(
    fc.property(situations, (situation) => {
      const before = start(situation);
      const kept = situation.add.filter((id) => before.identities.get(id) === live);
      let now = before;
      for (const write of splitIntoPatches(before, { ...situation, owned: new Set(situation.owned) }, situation.entries)) {
        now = carryOut(now, write);
        for (const id of kept) assert.ok(now.identities.has(id));
      }
    }),
  );
});

test('sends the identity type that the result needs', () => {
  const owned = new Set(ids);
  const only = (before: ObservedIdentity, add: string[], remove: string[]) =>
    splitIntoPatches(before, { add, remove, owned }).map((write) => wireIdentity(write, before));
  assert.deepEqual(only(seen('None'), [a], []), [{ type: 'UserAssigned', userAssignedIdentities: { [a]: {} } }]);
  assert.deepEqual(only(seen('SystemAssigned'), [a], []), [{ type: 'SystemAssigned, UserAssigned', userAssignedIdentities: { [a]: {} } }]);
  assert.deepEqual(only(seen('UserAssigned', a, b), [], [a]), [{ type: 'UserAssigned', userAssignedIdentities: { [a]: null } }]);
  assert.deepEqual(only(seen('UserAssigned', a), [], [a]), [{ type: 'None' }]);
  assert.deepEqual(only(seen('SystemAssigned, UserAssigned', a), [], [a]), [{ type: 'SystemAssigned' }]);
  assert.deepEqual(only(seen('UserAssigned', a), [b], [a]), [{ type: 'UserAssigned', userAssignedIdentities: { [b]: {}, [a]: null } }]);
});

test('never sends type None while a foreign identity is attached', () => {
  const writes = splitIntoPatches(seen('UserAssigned', a, b), { add: [], remove: [a, b], owned: new Set([a]) });
  assert.deepEqual(writes, [{ attach: [], detach: [a] }]);
  const planned = splitIntoPatches(seen('UserAssigned', a), { add: [], remove: [a], owned: new Set([a]) });
  assert.deepEqual(
    planned.map((write) => wireIdentity(write, seen('UserAssigned', a, c))),
    [{ type: 'UserAssigned', userAssignedIdentities: { [a]: null } }],
  );
});

test('splits a change of many identities into writes of 150, attachments first', () => {
  const many = Array.from({ length: 400 }, (_, index) => `${a}${index}`);
  const sizes = (writes: Write[]) => writes.map(({ attach, detach }) => [attach.length, detach.length]);
  assert.deepEqual(sizes(splitIntoPatches(seen('None'), { add: many, remove: [], owned: new Set() })), [
    [150, 0],
    [150, 0],
    [100, 0],
  ]);
  const before = seen('UserAssigned', ...many);
  assert.deepEqual(sizes(splitIntoPatches(before, { add: [b, c], remove: many.slice(0, 149), owned: new Set(many) })), [
    [2, 148],
    [0, 1],
  ]);
});

test('reads every spelling of the identity type, and no other text', () => {
  for (const kind of identityTypes)
    for (const text of [kind, kind.replace(' ', ''), kind.toUpperCase()]) assert.equal(identityKindOf(text), kind);
  assert.equal(identityKindOf(undefined), 'None');
  assert.equal(identityKindOf('Unheard'), undefined);
});

test('detaches and attaches a recreated identity only if it is owned', () => {
  const before: ObservedIdentity = {
    type: 'UserAssigned',
    identities: new Map([
      [a, null],
      [b, live],
    ]),
  };
  assert.deepEqual(splitIntoPatches(before, { add: [a, b], remove: [], owned: new Set([a]) }), [
    { attach: [], detach: [a] },
    { attach: [a], detach: [] },
  ]);
  assert.deepEqual(splitIntoPatches(before, { add: [a, b], remove: [], owned: new Set() }), []);
});
