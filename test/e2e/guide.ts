// Pages of the documentation whose commands a test runs as a reader types them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { blocksOf } from '../docs/blocks.ts';

/** The blocks of code marked `sh` below a heading, up to the next heading, in their order. */
export function commandsOf(page: string, heading: string): string[] {
  const text = readFileSync(path.resolve(import.meta.dirname, '../../docs', page), 'utf8');
  const blocks = blocksOf(text).filter((block) => block.heading === heading && block.language === 'sh');
  assert.ok(blocks.length > 0, `${page} has commands below ${heading}`);
  return blocks.map((block) => block.text);
}
