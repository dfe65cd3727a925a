// One JSON line an event, from the wanted level on.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createLog, once } from './log.ts';

it('writes one JSON line from the least level on', () => {
  const lines: string[] = [];
  const log = createLog({ level: 'warn', now: () => 0, write: (line) => lines.push(line) });
  log.info('no');
  log.error('line\nbreak', { code: 'x', missing: undefined });
  assert.deepEqual(lines, ['{"time":"1970-01-01T00:00:00.000Z","level":"error","msg":"line\\nbreak","code":"x"}']);
});

it('tells a lasting condition once', () => {
  const tell = once();
  const told: string[] = [];
  for (const key of ['a', 'b', 'a']) tell(key, () => told.push(key));
  assert.deepEqual(told, ['a', 'b']);
});
