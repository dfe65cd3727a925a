import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

const module_ = new URL('./log.ts', import.meta.url).href;

/** What a program that logs so writes to standard output. */
async function logged(format: string, record: string): Promise<string> {
  const code = `const { createLogger } = await import(${JSON.stringify(module_)}); createLogger({ program: 'broker', level: 'info', format: '${format}' }).warn(${record})`;
  return (await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code])).stdout;
}

test('logs lines of JSON with time, level and program, or lines of text', async () => {
  const record = "{ pod: 'team/app', error: 'no answer' }, 'report not written'";
  const [json, text] = await Promise.all([logged('json', record), logged('text', record)]);
  const { time, ...rest } = JSON.parse(json) as Record<string, unknown>;
  assert.deepEqual(rest, { level: 'warn', program: 'broker', pod: 'team/app', error: 'no answer', msg: 'report not written' });
  assert.match(text, /^\d{4}-\d\d-\d\dT\S+Z WARN report not written pod=team\/app error="no answer"\n$/);
  assert.ok(!Number.isNaN(Date.parse(String(time))));
});
