import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyTables, savedTables } from '../testing/iptables.ts';
import { desiredTables, differences, packetsOf, rejectImds, restoreInput, undoInput, untrackedTable } from './rules.ts';

const tables = desiredTables({ denyImds: false, blockWireServer: true });

test('inserts every rule into an empty namespace', () => {
  assert.equal(differences(tables, savedTables(tables)).length, 0);
  assert.ok(differences(tables, emptyTables).length > 0);
  assert.equal(restoreInput(tables, emptyTables).match(/^-I /gm)?.length, 6);
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
  const input = restoreInput(desiredTables({ denyImds: false, blockWireServer: false }), savedTables(tables));
  assert.equal(input.match(/^-D .*168\.63\.129\.16.*/gm)?.length, 3);
});

test('touches no rule of others', () => {
  const saved = savedTables(tables, '-A OUTPUT -p tcp -j MESH');
  for (const input of [restoreInput(tables, saved), undoInput(tables, emptyTables, saved)]) assert.doesNotMatch(input, /MESH/);
  assert.equal(undoInput(tables, saved, saved), '', 'what was there before is not undone');
});

test('denies IMDS in place of an earlier redirect, and the other way round', () => {
  const denial = desiredTables({ denyImds: true, blockWireServer: false });
  const redirect = desiredTables({ denyImds: false, blockWireServer: false });
  const denying = restoreInput(denial, savedTables(redirect));
  assert.match(denying, /^-I OUTPUT 1 -d 169\.254\.169\.254\/32 -p tcp -m tcp --dport 80 -j aad-metadata-guard$/m);
  assert.match(denying, /^-A aad-metadata -j ACCEPT$/m);
  assert.doesNotMatch(denying, /25790|aad-metadata -p tcp -j REDIRECT/);
  const redirecting = restoreInput(redirect, savedTables(denial));
  assert.match(redirecting, /^-D OUTPUT -d 169\.254\.169\.254\/32 -p tcp -m tcp --dport 80 -j aad-metadata-guard$/m);
  assert.match(redirecting, /^-A aad-metadata -p tcp -j REDIRECT --to-ports 2579$/m);
});

test('reads the packets of one rule, and none where it is missing', () => {
  const saved = `*filter\n:OUTPUT ACCEPT [9:9]\n[7:420] -A OUTPUT -d 169.254.169.254/32 -j aad-metadata-guard\n[3:180] -A aad-metadata-guard ${rejectImds}\nCOMMIT\n`;
  assert.equal(packetsOf(saved, rejectImds), 3);
  assert.equal(packetsOf(savedTables(tables), rejectImds), 0);
  assert.equal(packetsOf('', rejectImds), 0);
});

test('leaves the traffic of the proxy untracked, and tracks it after a denial', () => {
  const redirect = untrackedTable({ denyImds: false });
  const loaded = savedTables([redirect]);
  assert.deepEqual(restoreInput([redirect], loaded).match(/^-[ID].*/gm), null);
  const denial = untrackedTable({ denyImds: true });
  assert.equal(restoreInput([denial], loaded).match(/^-D .* -j aad-metadata-untracked$/gm)?.length, 2);
  assert.doesNotMatch(restoreInput([denial], emptyTables), /-[IA] /);
});
