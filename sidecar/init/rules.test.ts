import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyTables, savedTables } from '../testing/iptables.ts';
import { desiredTables, differences, restoreInput, undoInput } from './rules.ts';

const tables = desiredTables({ blockWireServer: true });

test('inserts every rule into an empty namespace', () => {
  assert.equal(differences(tables, savedTables(tables)).length, 0);
  assert.ok(differences(tables, emptyTables).length > 0);
  assert.equal(restoreInput(tables, emptyTables).match(/^-I /gm)?.length, 4);
});

test('leaves a jump that is in place as it is', () => {
  assert.doesNotMatch(restoreInput(tables, savedTables(tables)), /^-[ID] /m);
});

test('moves our jump back to the top when another rule was inserted before it', () => {
  const saved = savedTables(tables).replace('-A OUTPUT -d 169', '-A OUTPUT -p tcp -j MESH\n-A OUTPUT -d 169');
  assert.ok(differences(tables, saved).some((difference) => difference.includes('nat OUTPUT')));
  assert.deepEqual(
    restoreInput(tables, saved)
      .match(/^-[ID] .*/gm)
      ?.map((line) => line.slice(0, 12)),
    ['-D OUTPUT -d', '-I OUTPUT 1 '],
  );
});

test('deletes the WireServer rules of an earlier run when they are no longer desired', () => {
  const input = restoreInput(desiredTables({ blockWireServer: false }), savedTables(tables));
  assert.equal(input.match(/^-D .*168\.63\.129\.16.*/gm)?.length, 2);
});

test('touches no rule of others', () => {
  const saved = savedTables(tables, '-A OUTPUT -p tcp -j MESH');
  for (const input of [restoreInput(tables, saved), undoInput(tables, emptyTables, saved)]) assert.doesNotMatch(input, /MESH/);
  assert.equal(undoInput(tables, saved, saved), '', 'what was there before is not undone');
});
