// Is the pod that asks the pod we know? A refusal makes its sidecar drop everything, so the copies alone never decide one: the API server
// is asked first (design 6).
import { bindingLabel } from '../api/names.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { isNotFound } from '../lib/kube/errors.ts';
import { metadataOf } from '../lib/kube/objects.ts';
import { pods, resourcePath } from '../lib/kube/resources.ts';
import type { BoundPod } from './bound-token.ts';
import { boundedCache } from './bounded-cache.ts';
import { rateLimit } from './rate-limit.ts';
import { Refusal } from './refusal.ts';
import type { BrokerView, PodView } from './view.ts';

export interface Participation {
  /** The view of exactly this pod. Throws {@link Refusal}: revoking codes once confirmed, `not_ready` while they are not. */
  viewOf(pod: BoundPod): Promise<PodView>;
}

/** A pod without rights keeps asking; the API server need not answer each time. */
const confirmedMs = 10_000;
/** Many pods that lose their label together must not use up the calls that the leader needs. */
const asksPerSecond = 20;

export function participation(options: { client: KubeClient; view: BrokerView; now: () => number }): Participation {
  const { client, view, now } = options;
  const confirmed = boundedCache<Refusal>(5_000, now);
  const mayAsk = rateLimit(asksPerSecond, 2 * asksPerSecond, now);
  const asking = new Map<string, Promise<Refusal>>();

  async function ask({ namespace, name, uid }: BoundPod): Promise<Refusal> {
    let live: unknown;
    try {
      live = await client.call('GET', resourcePath(pods, { namespace, name }), { timeoutMs: 10_000 });
    } catch (error) {
      if (isNotFound(error)) return new Refusal('pod_gone', `pod ${namespace}/${name} does not exist`);
      return new Refusal('not_ready', `pod ${namespace}/${name} is not known here, and the API server does not answer: try again`);
    }
    const metadata = metadataOf(live);
    if (metadata.uid !== uid) return new Refusal('pod_mismatch', `pod ${namespace}/${name} is another one now: this token's pod is gone`);
    if (metadata.labels?.[bindingLabel] === undefined)
      return new Refusal('not_participating', `pod ${namespace}/${name} has no label ${bindingLabel}`);
    return new Refusal('not_ready', `pod ${namespace}/${name} is not known here yet: try again`);
  }

  return {
    async viewOf(pod) {
      const found = view.rowsFor(`${pod.namespace}/${pod.name}`);
      if (found?.uid === pod.uid) return found;
      const before = confirmed.get(pod.uid);
      if (before !== undefined) throw before;
      let answer = asking.get(pod.uid);
      if (answer === undefined) {
        if (!mayAsk()) throw new Refusal('not_ready', 'too many unknown pods are being looked up: try again', { retryAfterSeconds: 5 });
        answer = ask(pod).finally(() => asking.delete(pod.uid));
        asking.set(pod.uid, answer);
      }
      const refusal = await answer;
      if (refusal.code !== 'not_ready') confirmed.set(pod.uid, refusal, now() + confirmedMs);
      throw refusal;
    },
  };
}
