import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from './log.ts';

test('writes one JSON line for a record of the configured level or above', () => {
  const lines: string[] = [];
  const log = createLog({ level: 'warn', format: 'json', now: () => 0, write: (line) => lines.push(line) });
  log.info('no');
  log.error('line\nbreak', { code: 'x', missing: undefined });
  assert.deepEqual(lines, ['{"time":"1970-01-01T00:00:00.000Z","level":"error","msg":"line\\nbreak","code":"x"}']);
});

test('writes a line of text for a record where that is asked for', () => {
  const lines: string[] = [];
  const log = createLog({ level: 'info', format: 'text', now: () => 0, write: (line) => lines.push(line) });
  log.warn('token not fetched', { identity: 'team/a', reason: 'no answer' });
  assert.deepEqual(lines, ['1970-01-01T00:00:00.000Z WARN token not fetched identity=team/a reason="no answer"']);
});
