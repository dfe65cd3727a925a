// docs/events.md describes every reason of a status and of an Event.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { isAssignmentReason, isTerminal } from '../lib/identities/reasons.ts';

const root = path.resolve(import.meta.dirname, '..');
const textOf = (file: string) => readFileSync(path.join(root, file), 'utf8');

/** Of the types and lists there: every other text in quotes would be one. */
function reasonsOfCode(): string[] {
  const code = textOf('lib/identities/reasons.ts').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
  return [...new Set([...code.matchAll(/'([^'\n]+)'/g)].map(([, reason = '']) => reason))].sort();
}

/** The first column of the tables under the headings that match. */
function reasonsOfPage(heading: RegExp = /./): string[] {
  const sections = textOf('docs/events.md').split(/^(?=#)/m);
  return sections
    .filter((section) => heading.test(section.split('\n')[0] ?? ''))
    .flatMap((section) => [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, reason = '']) => reason))
    .sort();
}

describe('docs/events.md', () => {
  it('has each reason of the code once, and no other', () => {
    assert.deepEqual(reasonsOfPage(), reasonsOfCode());
  });

  it('says of each reason for waiting whether somebody must act', () => {
    const waiting = reasonsOfCode().filter(isAssignmentReason);
    assert.deepEqual(reasonsOfPage(/Somebody must act/), waiting.filter(isTerminal));
    assert.deepEqual(
      reasonsOfPage(/goes on by itself/),
      waiting.filter((reason) => !isTerminal(reason)),
    );
  });
});
