// Many pods on many identities at once, until each has its first token.
import os from 'node:os';
import { names, spread } from '../controller/cluster.ts';
import { secondsOf, secondsOfMachine } from '../processor-time.ts';
import { median, quantile, row, textRow } from '../table.ts';
import type { Federation } from './cluster.ts';
import { identityName } from './cluster.ts';
import { resource } from './resource.ts';

export interface Burst {
  pods: number;
  identities: number;
  /** What aad-pod-identity 1.8.17 took for that many pods on 5 identities, measured once. */
  upstreamSeconds: number;
}

export async function burst(federation: Federation, { pods, identities, upstreamSeconds }: Burst): Promise<void> {
  const since = federation.harness.emulator.log.last;
  const terms = federation.terms();
  const before = await processorTimes(federation);
  const started = Date.now();
  const times: Promise<number>[] = [];
  let [lastPodAt, served] = [started, 0];
  const { refusals } = federation.sidecars;
  const progress = setInterval(
    () => console.error(`  ${times.length} of ${pods} pods are there, ${served} have a token; refused: ${show(refusals)}`),
    10_000,
  );
  await spread(names(pods, 'burst'), 20, async (pod, index) => {
    await federation.harness.createPod(pod, identityName(index % identities));
    const created = Date.now();
    lastPodAt = created;
    const { firstToken } = await federation.sidecars.start(pod);
    times.push(
      firstToken.then((at) => {
        served += 1;
        return at - created;
      }),
    );
  });
  const waited = await Promise.all(times);
  clearInterval(progress);
  const ended = Date.now();
  const after = await processorTimes(federation);

  const secondsUntil = (at: number) => (at - started) / 1000;
  const { writes, lastWriteAt, exchanges } = federation.azureCalls(since);
  const what = `${pods} pods on ${identities} identities`;
  row(`${what}: all first tokens after the first pod`, secondsUntil(ended), 's', { atMost: 60 });
  row('  beside aad-pod-identity with 5 identities', secondsUntil(ended) / upstreamSeconds, 'x', { atMost: 1 });
  row('  the last pod was there after', secondsUntil(lastPodAt), 's');
  row('  the last credential was written after', secondsUntil(lastWriteAt), 's');
  row('  wait of a pod, p50', median(waited) / 1000, 's');
  row('  wait of a pod, p99', quantile(waited, 0.99) / 1000, 's');
  row('  new terms of the leader', federation.terms() - terms, '', { atMost: 0 });
  textRow('  requests of sidecars that were refused', show(refusals));
  for (const [index, { of, seconds }] of after.entries()) row(`  processor time of ${of}`, seconds - (before[index]?.seconds ?? 0), 's');
  row('  there is processor time of', secondsUntil(ended) * os.cpus().length, 's');

  const most = (counts: Map<string, number>, ofPods: boolean) =>
    Math.max(0, ...[...counts].filter(([key]) => key.includes(resource) === ofPods).map(([, count]) => count));
  row('  writes of credentials for one identity, at most', Math.max(0, ...writes.values()), '', { atMost: 1 });
  row('  exchanges for one identity and resource, at most', most(exchanges, true), '', { atMost: 1 });
  row('  proofs of one identity, at most', most(exchanges, false), '', { atMost: 1 });
}

/** Of everything that takes part, and of the whole machine: where the machine has no time left, the burst measures the machine. */
async function processorTimes({ programs, apiServerSeconds }: Federation): Promise<{ of: string; seconds: number }[]> {
  return [
    { of: 'the API server', seconds: await apiServerSeconds() },
    { of: 'the controller', seconds: secondsOf(programs.controller) },
    { of: 'the broker', seconds: secondsOf(programs.broker) },
    { of: 'sidecars, Azure and creator of pods', seconds: secondsOf(programs.bench) },
    { of: 'all programs of the machine', seconds: secondsOfMachine() },
  ];
}

const show = (counts: ReadonlyMap<string, number>): string =>
  [...counts].map(([what, count]) => `${count} with ${what}`).join(', ') || 'none';
