// Pages of the documentation whose commands a test runs as a reader types them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';

/** The blocks of code marked `sh` below a heading, up to the next heading, in their order. */
export function commandsOf(page: string, heading: string): string[] {
  const text = readFileSync(path.resolve(import.meta.dirname, '../../docs', page), 'utf8');
  const section = text.split(/^(?=#+ )/m).find((part) => part.startsWith(`${heading}\n`));
  const blocks = [...(section ?? '').matchAll(/^( *)```sh\n(.*?)^ *```$/gms)].map(([, indent = '', block = '']) =>
    block.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  );
  assert.ok(blocks.length > 0, `${page} has commands below ${heading}`);
  return blocks;
}
