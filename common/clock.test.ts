import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from './clock.ts';

test('a time that is past is called soon, without a warning', async () => {
  const warnings: Error[] = [];
  const listen = (warning: Error) => warnings.push(warning);
  process.on('warning', listen);
  await new Promise<void>((resolve) => systemClock.after(-1.5, resolve));
  process.off('warning', listen);
  assert.deepEqual(warnings, []);
});
