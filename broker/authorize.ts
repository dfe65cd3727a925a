// Is the authenticated pod one that this replica knows? An error with a revoking code makes the sidecar drop every token, so the caches alone never
// decide one: the API server is asked first.
import { bindingLabel } from '../api/names.ts';
import type { Clock } from '../common/clock.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { isNotFound } from '../lib/kube/errors.ts';
import { metadataOf } from '../lib/kube/objects.ts';
import { pods, resourcePath } from '../lib/kube/resources.ts';
import { waitInFairTurn } from '../lib/rate-limiters.ts';
import type { BoundPod } from './bound-token.ts';
import { BrokerError } from './error.ts';
import type { BrokerLimit } from './limits.ts';
import type { PodRows, RowSource } from './rows.ts';
import { createTtlCache } from './ttl-cache.ts';

/** The rows of exactly this pod. Throws {@link BrokerError}: a revoking code once the API server confirms it, `not_ready` before. */
export type Authorize = (pod: BoundPod) => Promise<PodRows>;

/** A pod without rights keeps asking; the API server need not answer each time. */
const confirmedMs = 10_000;
/** Many pods can lose their label together. Namespaces take turns: a pod of one cannot keep the API server from confirming those of another. */
const lookupRate = { perSecond: 20, burst: 40, maxWaiting: 200 };

/** Requests of one pod that wait for its look-up; more of them would only use memory. */
const maxCallers = 8;

interface Lookup {
  result: Promise<BrokerError>;
  callers: number;
}

export function createAuthorizer(options: {
  client: KubeClient;
  rows: RowSource;
  clock: Clock;
  onRefused: (limit: BrokerLimit) => void;
}): Authorize {
  const { client, rows, clock, onRefused } = options;
  const confirmed = createTtlCache<BrokerError>(5_000, clock);
  const turn = waitInFairTurn({ ...lookupRate, clock });
  const inFlight = new Map<string, Lookup>();

  async function lookUp(pod: BoundPod): Promise<BrokerError> {
    if (await turn(pod.namespace)) return missingPodError(client, pod);
    return refusal();
  }

  function refusal(): BrokerError {
    onRefused('lookups');
    return new BrokerError('not_ready', 'too many unknown pods are being looked up: try again', { retryAfterSeconds: 5 });
  }

  return async (pod) => {
    const known = rows.get(`${pod.namespace}/${pod.name}`);
    if (known?.uid === pod.uid) return known;
    const before = confirmed.get(pod.uid);
    if (before !== undefined) throw before;
    let lookup = inFlight.get(pod.uid);
    if (lookup === undefined) {
      lookup = { result: lookUp(pod).finally(() => inFlight.delete(pod.uid)), callers: 0 };
      inFlight.set(pod.uid, lookup);
    }
    if (lookup.callers >= maxCallers) throw refusal();
    lookup.callers += 1;
    const error = await lookup.result;
    if (error.code !== 'not_ready') confirmed.set(pod.uid, error, confirmedMs);
    throw error;
  };
}

/** Why the caches do not hold this pod. */
async function missingPodError(client: KubeClient, { namespace, name, uid }: BoundPod): Promise<BrokerError> {
  let live: unknown;
  try {
    live = await client.call('GET', resourcePath(pods, { namespace, name }), { timeoutMs: 10_000 });
  } catch (error) {
    if (isNotFound(error)) return new BrokerError('pod_gone', `pod ${namespace}/${name} does not exist`);
    return new BrokerError('not_ready', `pod ${namespace}/${name} is not known here, and the API server does not answer: try again`);
  }
  const metadata = metadataOf(live);
  if (metadata.uid !== uid) return new BrokerError('pod_mismatch', `pod ${namespace}/${name} is another one now: this token's pod is gone`);
  if (metadata.labels?.[bindingLabel] === undefined)
    return new BrokerError('not_participating', `pod ${namespace}/${name} has no label ${bindingLabel}`);
  return new BrokerError('not_ready', `pod ${namespace}/${name} is not known here yet: try again`);
}
