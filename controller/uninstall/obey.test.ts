import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { KubeError } from '../../lib/kube/errors.ts';
import { silentLogger } from '../../lib/log.ts';
import { obeyUninstall } from './obey.ts';

/** An API server with at most one request; the returned events tell what the leader does. */
function start(initial: { until?: string; failures?: number } = {}) {
  const clock = createFakeClock(0);
  const events: string[] = [];
  let { until, failures = 0 } = initial;
  const announce: (() => void)[] = [];
  const client: KubeClient = {
    async call(_method, path) {
      if (!path.endsWith('/aad-pod-identity-uninstall')) return { metadata: { resourceVersion: '1' }, items: [] };
      if (failures > 0) {
        failures -= 1;
        throw new KubeError(500, '', 'down');
      }
      if (until === undefined) throw new KubeError(404, 'NotFound', 'not found');
      return { metadata: { name: 'aad-pod-identity-uninstall' }, data: { until } };
    },
    async *watch(_path, { signal }) {
      for (let version = 2; !signal.aborted; version += 1) {
        await new Promise<void>((resolve) => {
          announce.push(resolve);
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
        const metadata = { name: 'aad-pod-identity-uninstall', namespace: 'system', resourceVersion: String(version) };
        yield { type: 'ADDED', object: { metadata } };
      }
    },
    close: async () => undefined,
  };
  const work = (name: string) => () => {
    events.push(`${name} begins`);
    return {
      stop: async () => {
        events.push(`${name} ends`);
      },
    };
  };
  const obeying = obeyUninstall({
    client,
    log: silentLogger,
    clock,
    namespace: 'system',
    usual: work('usual'),
    detaching: work('detaching'),
  });
  return {
    clock,
    events,
    obeying,
    async change(to: string | undefined) {
      until = to;
      for (const tell of announce.splice(0)) tell();
      await clock.advance(0);
    },
  };
}

const inAMinute = new Date(60_000).toISOString();

describe('obeyUninstall', () => {
  it('does the usual work, and that of an uninstall while the request counts', async () => {
    const { clock, events, obeying, change } = start();
    await clock.advance(0);
    assert.deepEqual(events, ['usual begins']);
    await change(inAMinute);
    assert.deepEqual(events.splice(0), ['usual begins', 'usual ends', 'detaching begins']);
    await clock.advance(60_000);
    assert.deepEqual(events.splice(0), ['detaching ends', 'usual begins']);
    await obeying.stop();
    assert.deepEqual(events, ['usual ends']);
  });

  it('detaches at once where a leader takes over in the middle of an uninstall', async () => {
    const { clock, events, obeying } = start({ until: inAMinute });
    await clock.advance(0);
    assert.deepEqual(events, ['detaching begins']);
    await obeying.stop();
  });

  for (const [what, until] of [
    ['whose date is over', new Date(-1).toISOString()],
    ['without a date', 'soon'],
  ] as const)
    it(`does not obey a request ${what}`, async () => {
      const { clock, events, obeying } = start({ until });
      await clock.advance(0);
      assert.deepEqual(events, ['usual begins']);
      await obeying.stop();
    });

  it('begins nothing before the API server has said whether there is a request', async () => {
    const { clock, events, obeying } = start({ until: inAMinute, failures: 3 });
    await clock.advance(0);
    assert.deepEqual(events, []);
    await clock.advance(5_000);
    assert.deepEqual(events, ['detaching begins']);
    await obeying.stop();
  });
});
