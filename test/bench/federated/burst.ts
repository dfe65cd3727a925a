// Many pods on many identities at once, until each has its first token.
import { names, spread } from '../controller/cluster.ts';
import { quantile, row, textRow } from '../table.ts';
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
  const started = performance.now();
  const times: Promise<number>[] = [];
  let served = 0;
  const { refusals } = federation.sidecars;
  const progress = setInterval(() => console.error(`  ${served} of ${pods} pods have a token; refused: ${show(refusals)}`), 10_000);
  await spread(names(pods, 'burst'), 20, async (pod, index) => {
    await federation.harness.createPod(pod, identityName(index % identities));
    const created = Date.now();
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
  const seconds = (performance.now() - started) / 1000;
  const what = `${pods} pods on ${identities} identities`;
  row(`${what}: all first tokens after the first pod`, seconds, 's', { atMost: 60 });
  row('  beside aad-pod-identity with 5 identities', seconds / upstreamSeconds, 'x', { atMost: 1 });
  textRow('  requests of sidecars that were refused', show(refusals));
  row('  wait of a pod, p99', quantile(waited, 0.99) / 1000, 's');

  const { writes, exchanges } = federation.azureCalls(since);
  const most = (counts: Map<string, number>, ofPods: boolean) =>
    Math.max(0, ...[...counts].filter(([key]) => key.includes(resource) === ofPods).map(([, count]) => count));
  row('  writes of credentials for one identity, at most', Math.max(0, ...writes.values()), '', { atMost: 1 });
  row('  exchanges for one identity and resource, at most', most(exchanges, true), '', { atMost: 1 });
  row('  proofs of one identity, at most', most(exchanges, false), '', { atMost: 1 });
}

const show = (counts: ReadonlyMap<string, number>): string =>
  [...counts].map(([what, count]) => `${count} with ${what}`).join(', ') || 'none';
