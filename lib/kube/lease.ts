import type { Clock } from '../../common/clock.ts';
import type { KubeClient } from './client.ts';
import { mergePatch } from './client.ts';
import { isNotFound } from './errors.ts';
import type { LeaseRecord } from './lease-state.ts';
import { microTime } from './micro-time.ts';
import { at, metadataOf, stringAt } from './objects.ts';
import { leases, resourcePath } from './resources.ts';

export interface LeaseOptions {
  client: KubeClient;
  namespace: string;
  name: string;
  identity: string;
  leaseDurationMs: number;
  clock: Clock;
}

/** A Lease on the API server. Its calls go past the rate limit of the client. Every write fails with a conflict if the Lease changed since `read`. */
export interface Lease {
  /** Undefined where there is no Lease. */
  read(call: LeaseCall): Promise<LeaseRecord | undefined>;
  /** Writes the identity and the time. What others wrote into the object, such as labels, stays. */
  hold(record: LeaseRecord | undefined, call: LeaseCall): Promise<void>;
  /** Frees the Lease, so that the next candidate takes it at once. */
  release(record: LeaseRecord, call: LeaseCall): Promise<void>;
}

interface LeaseCall {
  timeoutMs: number;
  signal?: AbortSignal;
}

export function leaseOf({ client, namespace, name, identity, leaseDurationMs, clock }: LeaseOptions): Lease {
  const object = resourcePath(leases, { namespace, name });

  const patch = (record: LeaseRecord, spec: object, call: LeaseCall) => {
    const body = { metadata: { resourceVersion: record.resourceVersion }, spec };
    return client.call('PATCH', object, { ...call, unpaced: true, contentType: mergePatch, body });
  };

  return {
    async read(call) {
      try {
        const raw = await client.call('GET', object, { ...call, unpaced: true });
        const transitions = at(raw, 'spec', 'leaseTransitions');
        return {
          holder: stringAt(raw, 'spec', 'holderIdentity') ?? '',
          transitions: typeof transitions === 'number' ? transitions : 0,
          resourceVersion: metadataOf(raw).resourceVersion ?? '',
        };
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },

    async hold(record, call) {
      const now = microTime(new Date(clock.wall()));
      const spec = {
        holderIdentity: identity,
        leaseDurationSeconds: Math.max(1, Math.ceil(leaseDurationMs / 1000)),
        renewTime: now,
        ...(record?.holder === identity ? {} : { acquireTime: now, leaseTransitions: record === undefined ? 0 : record.transitions + 1 }),
      };
      if (record !== undefined) {
        await patch(record, spec, call);
        return;
      }
      const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace }, spec };
      await client.call('POST', resourcePath(leases, { namespace }), { ...call, unpaced: true, body });
    },

    async release(record, call) {
      await patch(record, { holderIdentity: '', leaseDurationSeconds: 1 }, call);
    },
  };
}
