// How long a single pod waits for its first token, from its creation.
import { median, quantile, row } from '../table.ts';
import type { Federation } from './cluster.ts';
import { identityName } from './cluster.ts';

/** `first`: number of the first of the `fresh` identities, which no pod has used. */
export async function firstTokens(
  federation: Federation,
  { first, fresh, inUse }: { first: number; fresh: number; inUse: number },
): Promise<void> {
  const { harness } = federation;
  const onNew: number[] = [];
  for (let index = 0; index < fresh; index += 1) onNew.push(await federation.firstTokenOf(`fresh-${index}`, identityName(first + index)));
  row('first token on a new identity, p50', median(onNew) / 1000, 's', { atMost: 1.5 });
  row('  p99', quantile(onNew, 0.99) / 1000, 's');

  const since = harness.emulator.log.last;
  const onKnown: number[] = [];
  for (let index = 0; index < inUse; index += 1) onKnown.push(await federation.firstTokenOf(`known-${index}`, identityName(first)));
  row('first token on an identity in use, p50', median(onKnown), 'ms', { atMost: 300 });
  row('  p99', quantile(onKnown, 0.99), 'ms');
  row('  calls of Resource Manager', federation.azureCalls(since).arm, '', { atMost: 0 });
}
