// On which node the node endpoint runs that calls. The answer decides whose tokens it may have, so it comes from the API server: no cache holds its pod.
import { nodeServiceAccountName } from '../api/names.ts';
import type { Clock } from '../common/clock.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { isNotFound } from '../lib/kube/errors.ts';
import { metadataOf, stringAt } from '../lib/kube/objects.ts';
import { pods, resourcePath } from '../lib/kube/resources.ts';
import type { Caller } from './bound-token.ts';
import { BrokerError } from './error.ts';
import { createTtlCache } from './ttl-cache.ts';

/** Name of the caller's node. Throws {@link BrokerError}: `forbidden` for anything but a running node endpoint, `not_ready` without the API server. */
export type NodeOfCaller = (caller: Caller) => Promise<string>;

/** The token of a deleted pod is good for so long at most. */
const knownMs = 60_000;

export const isNodeEndpoint = ({ namespace, serviceAccount }: Caller, home: string): boolean =>
  namespace === home && serviceAccount === nodeServiceAccountName;

/** `home`: the release namespace. */
export function createNodeOfCaller({ client, clock, home }: { client: KubeClient; clock: Clock; home: string }): NodeOfCaller {
  const known = createTtlCache<{ node: string }>(10_000, clock);
  const inFlight = new Map<string, Promise<string>>();

  async function read(caller: Caller): Promise<string> {
    const node = nodeOf(caller, await readPod(client, caller));
    known.set(caller.uid, { node }, knownMs);
    return node;
  }

  return async (caller) => {
    if (!isNodeEndpoint(caller, home))
      throw new BrokerError('forbidden', `only service account ${home}/${nodeServiceAccountName} may call this`);
    const before = known.get(caller.uid);
    if (before !== undefined) return before.node;
    let reading = inFlight.get(caller.uid);
    if (reading === undefined) {
      reading = read(caller).finally(() => inFlight.delete(caller.uid));
      inFlight.set(caller.uid, reading);
    }
    return reading;
  };
}

async function readPod(client: KubeClient, { namespace, name }: Caller): Promise<unknown> {
  try {
    return await client.call('GET', resourcePath(pods, { namespace, name }), { timeoutMs: 10_000 });
  } catch (error) {
    if (isNotFound(error)) throw new BrokerError('forbidden', `pod ${namespace}/${name} does not exist`);
    throw new BrokerError('not_ready', `the API server does not say where pod ${namespace}/${name} runs: try again`);
  }
}

function nodeOf(caller: Caller, pod: unknown): string {
  const key = `${caller.namespace}/${caller.name}`;
  if (metadataOf(pod).uid !== caller.uid) throw new BrokerError('forbidden', `pod ${key} is another one now: this token's pod is gone`);
  const node = stringAt(pod, 'spec', 'nodeName') ?? '';
  const isSame = caller.node === undefined || caller.node === node;
  if (node === '' || !isSame || stringAt(pod, 'spec', 'serviceAccountName') !== caller.serviceAccount)
    throw new BrokerError('forbidden', `node or service account of pod ${key} are not those of its token`);
  return node;
}
