// Which identity of a pod a request means. One rule for the sidecar, which chooses for its own pod, and for the broker, which chooses for a pod that the
// node endpoint names (docs/adr/0019-choice-of-identity-and-waiting.md). Pure.
import type { IdentitiesResponse, IdentityRow, IdentityState } from './broker.ts';

/** The parameters that name an identity, as IMDS has them. */
export const selectorNames = ['client_id', 'object_id', 'msi_res_id'] as const;
export type SelectorName = (typeof selectorNames)[number];

/** Which identity a request asks for. */
export interface Selector {
  name: SelectorName;
  value: string;
}

/** `namespace/name` of the AzureIdentity. */
export const rowKey = ({ namespace, name }: Pick<IdentityRow, 'namespace' | 'name'>): string => `${namespace}/${name}`;

type PodOfRows = Pick<IdentitiesResponse['pod'], 'namespace' | 'defaultIdentity'>;

/**
 * Key of the identity that serves requests which name none. The pod's annotation decides: `namespace/name`, or a bare name, which means the pod's
 * namespace and else the first identity of that name. Without an annotation the first identity is the default. The order of the rows keeps it so: a
 * later binding comes behind older ones of its namespace, and a foreign one behind all of the pod's own namespace.
 */
export function defaultKeyOf({ namespace, defaultIdentity: wanted }: PodOfRows, rows: readonly IdentityRow[]): string | undefined {
  const keys = rows.map(rowKey);
  if (wanted === undefined) return keys[0];
  if (wanted.includes('/')) return wanted;
  const own = rowKey({ namespace, name: wanted });
  if (keys.includes(own)) return own;
  const other = rows.find((row) => row.name === wanted);
  return other === undefined ? own : rowKey(other);
}

/**
 * Several AzureIdentities may name one Azure identity, and a client id is only a claim until the identity is assigned. So the pod's own namespace wins,
 * and among other namespaces the one that can serve: an author there cannot take an identity away by naming it.
 */
export function findRow(rows: readonly IdentityRow[], selector: Selector, podNamespace: string): IdentityRow | undefined {
  // An id is ASCII. Lower case would make U+212A (Kelvin sign) the letter k, and so another id.
  if (/[^\x20-\x7e]/.test(selector.value)) return undefined;
  const wanted = selector.value.toLowerCase();
  const found = rows.filter((row) => idOf(row, selector.name).toLowerCase() === wanted);
  const own = found.find((row) => row.namespace === podNamespace);
  return own ?? statesByUse.flatMap((state) => found.find((row) => row.state === state) ?? [])[0];
}

const statesByUse: readonly IdentityState[] = ['Assigned', 'Created', 'Failed'];

/** Empty while it is not known. */
export function idOf(row: IdentityRow, name: SelectorName): string {
  return name === 'client_id' ? row.clientID : name === 'object_id' ? (row.objectID ?? '') : row.resourceID;
}

/** The ids of a managed identity are known once it is attached; until then the row may be the one that is asked for. */
export function mayStillMatch(row: IdentityRow, name: SelectorName): boolean {
  return row.state === 'Created' && row.source === 'imds' && name !== 'msi_res_id' && idOf(row, name) === '';
}
