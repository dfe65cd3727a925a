// docs/errors.md quotes the texts of the code and lists its codes. UPDATE_GOLDENS=1 writes the table of Entra's codes anew.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { statusOfCode } from '../broker/error.ts';
import type { FailureKind } from '../lib/azure/auth/aadsts.ts';
import { aadstsMeanings } from '../lib/azure/auth/aadsts.ts';
import { errorOfStatus } from '../sidecar/proxy/responses.ts';
import { assertSection, code, tableSection } from './generated-section.ts';

const root = path.resolve(import.meta.dirname, '..');
const page = readFileSync(path.join(root, 'docs/errors.md'), 'utf8');

const sourceOf = (folder: string): string =>
  readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .map((file) => readFileSync(path.join(root, folder, file), 'utf8'))
    .join('\n');

/** The rows of the tables under a heading, cells without their spaces. */
const rowsOf = (heading: string): string[][] => {
  const section = page.split(/^(?=## )/m).find((part) => part.startsWith(`## ${heading}\n`)) ?? '';
  const rows = [...section.matchAll(/^\| (.+) \|$/gm)].map(([, row = '']) => row.split(/ (?<!\\)\| /).map((cell) => cell.trim()));
  assert.ok(rows.length > 1, `docs/errors.md has a table under ${heading}`);
  return rows.slice(1);
};

/** Parts of a quoted text between the places that differ, which the page writes as `...`. */
const quotedParts = (cell: string | undefined): string[] => {
  const quoted = /^`(.+)`$/.exec(cell ?? '')?.[1] ?? '';
  return quoted
    .split('...')
    .map((part) => part.trim())
    .filter((part) => part !== '');
};

/** What the app gets while such an error lasts. */
const effects: Record<FailureKind, string> = {
  untrusted: '400; 503 while the credential is new, or when the controller made it',
  refused: '400',
  assertion: '503',
  issuer: '503',
  loop: '503',
  throttled: '503',
  passing: '503',
};

describe('docs/errors.md', () => {
  it('quotes texts of the token proxy as the code has them', () => {
    const source = sourceOf('sidecar');
    for (const [text] of ['Token requests', 'Other requests', 'The init container'].flatMap(rowsOf)) {
      const parts = quotedParts(text);
      assert.ok(parts.length > 0, `a text in code: ${text}`);
      for (const part of parts) assert.ok(source.includes(part), `sidecar/ has no text ${JSON.stringify(part)}`);
    }
  });

  it('has each text with which a command of the sidecar ends', () => {
    const known = rowsOf('The init container').map(([text]) => quotedParts(text));
    const messages = sourceOf('sidecar').matchAll(/new CommandError\(\s*'\w+',\s*(['`])(.+?)\1,?\s*\)/gs);
    const missing = [...messages]
      .map(([, , message = '']) => message)
      .filter((message) => !known.some((parts) => parts.every((part) => message.includes(part))));
    assert.deepEqual(missing, []);
  });

  it('has the error of each status of the token proxy', () => {
    const listed = rowsOf('The form').map(([status, error]) => `${status} ${error}`);
    assert.deepEqual(
      listed,
      Object.entries(errorOfStatus).map(([status, error]) => `${status} ${code(error)}`),
    );
  });

  it('has each code of the broker with its status', () => {
    const listed = rowsOf('The broker').map(([error, status]) => `${error} ${status}`);
    assert.deepEqual(
      listed.toSorted(),
      Object.entries(statusOfCode)
        .map(([error, status]) => `${code(error)} ${status}`)
        .toSorted(),
    );
  });

  it('has each code of Entra that the broker knows', () => {
    const rows = [...aadstsMeanings]
      .toSorted(([a], [b]) => String(a).localeCompare(String(b)))
      .map(([number, { kind, hint }]) => [code(`AADSTS${number}`), effects[kind], hint]);
    assertSection('errors.md', 'aadsts', `${tableSection('### Codes', ['code', 'the app gets', 'text of the broker'], rows)}\n`);
  });
});
