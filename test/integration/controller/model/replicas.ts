// Two controllers, of which the leader is killed, stopped or frozen.
import { setTimeout as delay } from 'node:timers/promises';
import { leaderLeaseName } from '../../../../api/names.ts';
import { at } from '../../../../lib/kube/objects.ts';
import { leases, resourcePath } from '../../../../lib/kube/resources.ts';
import type { LogRecord, RunningProgram } from '../../../harness/program.ts';
import type { Harness } from '../harness/harness.ts';
import type { Command } from './history.ts';

export type LeaderFailure = Extract<Command['do'], `${string} leader`>;

export interface Replicas {
  /** Undefined while nobody leads. */
  leader(): Promise<RunningProgram | undefined>;
  /** Resolves when it goes on, or when a replacement runs. */
  fail(leader: RunningProgram, failure: LeaderFailure): Promise<void>;
  /** The last records of all replicas that ever ran, without those of every request to Azure. */
  lastRecords(): string[];
}

const flags = [
  '--identity-assignment-reconcile-interval=0.3',
  '--lease-duration=1.5',
  '--lease-renew=1',
  '--lease-retry=0.3',
  '--collect-quiet=20',
  '--log-level=debug',
];
/** Longer than a Lease and the wait for the next try of another replica. */
const freezeMs = 2_500;

/** `given`: flags besides. */
export async function startReplicas(harness: Harness, given: readonly string[]): Promise<Replicas> {
  const started: RunningProgram[] = [];
  const running = new Set<RunningProgram>();
  async function start(): Promise<void> {
    const replica = await harness.startController([...flags, ...given]);
    started.push(replica);
    running.add(replica);
  }

  async function leader(): Promise<RunningProgram | undefined> {
    const lease = await harness.client.call('GET', resourcePath(leases, { namespace: 'default', name: leaderLeaseName }));
    const holder = String(at(lease, 'spec', 'holderIdentity') ?? '');
    return [...running].find((replica) => holder.endsWith(`_${replica.process.pid}`));
  }

  await Promise.all([start(), start()]);
  return {
    leader,
    async fail(current, failure) {
      if (failure === 'freeze leader') {
        current.process.kill('SIGSTOP');
        await delay(freezeMs);
        current.process.kill('SIGCONT');
        return;
      }
      running.delete(current);
      await current.stop(failure === 'kill leader' ? 'SIGKILL' : 'SIGTERM');
      await start();
    },
    lastRecords() {
      const isUsual = ({ msg }: LogRecord) => String(msg).includes('Azure answered');
      return started
        .flatMap(({ log }) => log.filter((record) => !isUsual(record)).slice(-60))
        .sort((a, b) => String(a.time).localeCompare(String(b.time)))
        .slice(-60)
        .map((record) => JSON.stringify(record).slice(0, 600));
    },
  };
}
