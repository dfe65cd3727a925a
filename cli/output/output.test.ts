import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Section } from '../finding.ts';
import { broken, passed, skipped, waiting, warning } from '../finding.ts';
import { sectionsJson } from './json.ts';
import { coloured, plain, styleFor } from './style.ts';
import { age, table } from './table.ts';
import { sectionsText } from './text.ts';

const details = { title: 'binding', message: 'none', advice: 'Make one.', command: 'kubectl get x' };
const sections: Section[] = [
  { title: 'Pod', findings: [passed('exists')] },
  { title: 'Binding', findings: [warning('IdentityMissing', details), broken('BindingMissing', details)] },
];

describe('sectionsText', () => {
  it('ends with the first broken link, what to do and what to type', () =>
    assert.equal(
      sectionsText(sections, plain),
      `Pod
  [ok]      exists

Binding
  [warning] binding: none [IdentityMissing]
  [broken]  binding: none [BindingMissing]

First broken link: BindingMissing
  Make one.
  $ kubectl get x
  More: docs/troubleshooting.md#bindingmissing
`,
    ));

  it('says so where nothing is wrong', () => assert.match(sectionsText(sections.slice(0, 1), plain), /\n\nNothing is wrong\.\n$/));

  it('shows what was not looked at, and takes it for no fault', () => {
    const text = sectionsText([{ title: 'Broker', findings: [skipped('from nodes: no pod runs')] }], plain);
    assert.equal(text, 'Broker\n  [skipped] from nodes: no pod runs\n\nNothing is wrong.\n');
  });

  it('tells what is under way before a warning, and calls neither broken', () => {
    const findings = [warning('IdentityMissing', details), waiting('Starting', { ...details, advice: 'Wait.' })];
    assert.match(
      sectionsText([{ title: 'Pod', findings }], plain),
      /\[waiting\] binding: none \[Starting\]\n\nNot ready yet: Starting\n {2}Wait\.\n/,
    );
  });

  it('marks by tick and colour for a terminal', () => assert.ok(sectionsText(sections, coloured).includes('\u001b[32m✓\u001b[39m exists')));
});

describe('sectionsJson', () => {
  it('has the code of the first broken link', () =>
    assert.equal((JSON.parse(sectionsJson(sections)) as { firstBroken: string }).firstBroken, 'BindingMissing'));
  it('has null where nothing is broken', () => assert.equal((JSON.parse(sectionsJson([])) as { firstBroken: null }).firstBroken, null));
});

describe('styleFor', () => {
  const cases = [
    ['auto', { isTerminal: true, env: {} }, coloured],
    ['auto', { isTerminal: false, env: {} }, plain],
    ['auto', { isTerminal: true, env: { NO_COLOR: '1' } }, plain],
    ['auto', { isTerminal: true, env: { TERM: 'dumb' } }, plain],
    ['always', { isTerminal: false, env: {} }, coloured],
    ['never', { isTerminal: true, env: {} }, plain],
  ] as const;
  for (const [color, output, style] of cases)
    it(`is ${style === plain ? 'plain' : 'coloured'} with --color=${color} for ${JSON.stringify(output)}`, () =>
      assert.equal(styleFor(color, output), style));
});

describe('table', () => {
  it('aligns columns and shows an empty cell as -', () =>
    assert.equal(
      table(
        ['A', 'LONG'],
        [
          ['value', ''],
          ['b', 'c'],
        ],
        plain,
      ),
      'A       LONG\nvalue   -\nb       c\n',
    ));
});

describe('age', () => {
  for (const [seconds, text] of [
    [0, '0s'],
    [119, '119s'],
    [120, '2m'],
    [7199, '119m'],
    [7200, '2h'],
    [172_800, '2d'],
  ] as const)
    it(`shows ${seconds} seconds as ${text}`, () => assert.equal(age(seconds), text));
});
