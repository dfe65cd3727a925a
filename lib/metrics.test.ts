import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gauge } from 'prom-client';
import { createFakeClock } from '../common/testing/fake-clock.ts';
import { createRegistry, serveMetrics } from './metrics.ts';

test('serveMetrics writes at most 20 texts at once and 5 a second, else the last', async (t) => {
  const registry = createRegistry();
  const clock = createFakeClock();
  const collect = function (this: Gauge) {
    this.inc();
  };
  registry.registerMetric(new Gauge({ name: 'texts', help: 'texts', registers: [], collect }));
  const server = await serveMetrics({ host: '127.0.0.1', port: 0 }, registry, clock);
  t.after(() => server.stop());
  const read = async () => /^texts (\d+)$/m.exec(await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text())?.[1];
  const texts: unknown[] = [];
  for (let index = 0; index < 30; index += 1) texts.push(await read());
  assert.deepEqual(
    texts,
    Array.from({ length: 30 }, (_, index) => String(Math.min(index + 1, 20))),
  );
  await clock.advance(200);
  assert.deepEqual([await read(), await read()], ['21', '21']);
});
