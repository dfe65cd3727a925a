// Whether the node endpoint gets the token of a pod, and of which identity. Pure, from the caches.
import type { HostTokenRequest, IdentityRow } from '../api/broker.ts';
import { defaultKeyOf, findRow, mayStillMatch, rowKey } from '../api/identity-choice.ts';
import { annotations, bindingLabel } from '../api/names.ts';
import { mountsDriver } from '../lib/identities/node-endpoint.ts';
import type { Pod } from '../lib/identities/pod.ts';
import { BrokerError } from './error.ts';
import type { PodRows } from './rows.ts';

export type HostDecision =
  /** The row is Assigned. */
  | { kind: 'row'; row: IdentityRow; uid: string }
  /** Waits for the assignment. */
  | { kind: 'pending'; error: BrokerError }
  /** A refusal that a change which is on its way may lift: the caches can be behind, and a binding can come after its pod. */
  | { kind: 'missing'; error: BrokerError }
  | { kind: 'refused'; error: BrokerError };

export interface HostDecisionInput {
  request: Pick<HostTokenRequest, 'namespace' | 'pod' | 'selector'>;
  /** Of the endpoint that asks. */
  node: string;
  drivers: readonly string[];
  /** From the caches; undefined for a pod that is unknown, finished or without the label. */
  found: { pod: Pod; rows: PodRows; excepted: boolean } | undefined;
}

/** Everything that is refused for the named pod is `not_found`: the caller learns nothing of pods elsewhere. */
export function decideHostToken({ request, node, drivers, found }: HostDecisionInput): HostDecision {
  const name = `pod ${request.namespace}/${request.pod}`;
  const notFound = (why: string) => new BrokerError('not_found', `${name} ${why}`);
  const elsewhere = `has no label ${bindingLabel}, or is not on node ${node}`;
  if (found === undefined || found.pod.node !== node) return { kind: 'missing', error: notFound(elsewhere) };
  const { pod, rows, excepted } = found;
  if (!mountsDriver(pod, drivers))
    return { kind: 'refused', error: notFound(`mounts no volume of ${drivers.join(' or ')}: tokens on its node are for such pods`) };
  if (excepted) return { kind: 'refused', error: notFound('matches an AzurePodIdentityException: it gets no identity') };

  const row = chooseRow(request, rows);
  if (row === 'unknown ids') return { kind: 'pending', error: pending(`${name}: ids of its identities are known once they are assigned`) };
  if (row === undefined) return { kind: 'missing', error: notFound(missingText(request, rows)) };
  if (row.state === 'Assigned') return { kind: 'row', row, uid: pod.uid };
  const text = `AzureIdentity ${rowKey(row)} (binding ${row.binding})`;
  if (row.state === 'Failed')
    return { kind: 'refused', error: notFound(`gets no token: ${text} cannot be assigned: ${row.reason ?? 'see its Events'}`) };
  return { kind: 'pending', error: pending(`${name}: ${text} is pending: ${row.reason ?? 'it is being attached to the node'}`) };
}

/** A row, or that one may turn out to be the one that is asked for. */
function chooseRow({ namespace, selector }: HostDecisionInput['request'], rows: PodRows): IdentityRow | 'unknown ids' | undefined {
  const { identities, defaultIdentity } = rows;
  if (selector === undefined) {
    const key = defaultKeyOf({ namespace, ...(defaultIdentity === undefined ? {} : { defaultIdentity }) }, identities);
    return identities.find((row) => rowKey(row) === key);
  }
  const row = findRow(identities, selector, namespace);
  return row ?? (identities.some((each) => mayStillMatch(each, selector.name)) ? 'unknown ids' : undefined);
}

function missingText({ selector }: HostDecisionInput['request'], { identities, defaultIdentity }: PodRows): string {
  const wanted =
    selector !== undefined
      ? `has no identity with ${selector.name} ${selector.value}`
      : defaultIdentity !== undefined
        ? `is not bound to its default identity ${defaultIdentity} (annotation ${annotations.defaultIdentity})`
        : 'has no identity';
  return `${wanted}. Bound to it: ${identities.map(rowKey).slice(0, 20).join(', ') || 'nothing'}`;
}

const pending = (message: string) => new BrokerError('not_ready', message, { retryAfterSeconds: 5 });
