import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { leaseControlPlane, poolVariable } from '../harness/control-plane.ts';
import type { ControlPlanePool, Member } from './control-plane-pool.ts';
import { startControlPlanePool } from './control-plane-pool.ts';

describe('the pool of control planes', () => {
  let pool: ControlPlanePool;
  /** What happens to the members, in order. */
  let happened: string[];
  let breaks: boolean;
  let untilReset: () => Promise<void>;

  beforeEach(async () => {
    happened = [];
    breaks = false;
    let onReset = (): void => undefined;
    untilReset = () =>
      new Promise((resolve) => {
        onReset = resolve;
      });
    let count = 0;
    const start = async (): Promise<Member> => {
      const name = `plane-${count++}`;
      const did = (what: string) => async () => void happened.push(`${what} ${name}`);
      const plane = {
        url: name,
        ...{ kubeconfig: '', token: '', ca: '', kubectl: '', folder: '' },
        restartApiServer: did('restart'),
        compact: did('compact'),
        readState: async () => new Map(),
        restoreState: async () => undefined,
        stop: did('stop'),
      };
      return {
        plane,
        async reset() {
          happened.push(`reset ${name}`);
          onReset();
          if (breaks) throw new Error('broken');
        },
      };
    };
    pool = await startControlPlanePool(start);
    process.env[poolVariable] = pool.url;
  });
  afterEach(async () => {
    delete process.env[poolVariable];
    await pool.stop();
  });

  it('gives each file one of its own, and a file after it the same one as new', async () => {
    const [one, other] = await Promise.all([leaseControlPlane(), leaseControlPlane()]);
    assert.notEqual(one.url, other.url);
    const reset = untilReset();
    await one.stop();
    await reset;
    const next = await leaseControlPlane();
    assert.equal(next.url, one.url);
    assert.deepEqual(happened, [`reset ${one.url}`]);
    await Promise.all([other.stop(), next.stop()]);
  });

  it('restarts and compacts the one that a file has', async () => {
    const plane = await leaseControlPlane();
    await plane.restartApiServer();
    await plane.compact();
    assert.deepEqual(happened, ['restart plane-0', 'compact plane-0']);
    await plane.stop();
  });

  it('stops one that cannot be made as new, and starts another', async () => {
    breaks = true;
    const plane = await leaseControlPlane();
    const reset = untilReset();
    await plane.stop();
    await reset;
    const next = await leaseControlPlane();
    assert.deepEqual([next.url, happened], ['plane-1', ['reset plane-0', 'stop plane-0']]);
    await next.stop();
  });
});
