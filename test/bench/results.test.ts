import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plainTable, resultsPage } from './results.ts';
import { row, takeRows, textRow } from './table.ts';

/** The rows of a bench that measures only what is asked for; they are printed to stderr too. */
function rowsOf(measure: () => void) {
  const { error } = console;
  console.error = () => {};
  try {
    measure();
    return takeRows();
  } finally {
    console.error = error;
  }
}

test('compares a figure with its reference where there is one, and else with its goal', () => {
  const rows = rowsOf(() => {
    row('ours', 30, 'ms', { reference: { what: 'bare', value: 20 }, atMost: 1.15 });
    row('memory', 30, 'MiB', { atMost: 40 });
    row('refused', 0, 'pods', { reference: { what: 'none', value: 0 }, atMost: 1 });
    row('rate', 7, '', { reference: { what: 'bare', value: 10 }, atLeast: 0.7 });
  });
  assert.deepEqual(
    rows.map(({ reference, ratio, goal, isMet }) => [reference, ratio, goal, isMet]),
    [
      ['20.00 ms, bare', '1.50', '<= 1.15', false],
      ['', '', '<= 40 MiB', true],
      ['0.00 pods, none', '1.00', '<= 1', true],
      ['10.00, bare', '0.70', '>= 0.7', true],
    ],
  );
});

test('takes each row once', () => {
  const rows = rowsOf(() => textRow('empty', 'nothing'));
  assert.equal(rows.length, 1);
  assert.deepEqual(takeRows(), []);
});

test('writes a page with the machine, the commit and how many goals are met', () => {
  const rows = rowsOf(() => {
    row('ours | theirs', 2, 's', { atMost: 1 });
    row('count', 1, '', { atMost: 1 });
    textRow('note', 'text');
  });
  const machine = { processor: 'Some CPU', processors: 2, memoryGiB: 8, kernel: 'Linux 6', node: 'v26.0.0' };
  const page = resultsPage([{ bench: 'sidecar', seconds: 61.4, rows }], { machine, commit: 'abc-dirty', date: '2026-01-02' });
  assert.match(page, /Commit abc-dirty, 2026-01-02; 2 × Some CPU, 8 GiB, Linux 6, Node v26.0.0\./);
  assert.match(page, /1 of 2 goals are met\./);
  assert.match(page, /## sidecar\n\nTook 61 s\.\n\n\| {2}\| measured/);
  assert.match(page, /\| ours \\\| theirs \| 2\.00 s \| {2}\| {2}\| <= 1 s \| missed \|/);
  assert.match(plainTable(rows), /^ {15}measured {2}reference, same run/);
});
