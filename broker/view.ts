// What the broker needs to know of the cluster. The leader's assignment works on the same match, so both always agree.
import type { IdentityRow } from '../api/broker.ts';

/** Per kind, the resourceVersion that this replica's copies have seen. */
export type Seen = Readonly<Record<string, string>>;

export interface PodView {
  uid: string;
  /** The pod matches an AzurePodIdentityException at this moment. */
  excepted: boolean;
  /** In order of preference. */
  identities: IdentityRow[];
  /** Name of the identity that answers requests which name none, from the pod's annotation. */
  defaultIdentity?: string;
}

export interface BrokerView {
  /** Every copy has had its first list; before that nothing else here may be trusted. */
  readonly synced: boolean;
  /** By `namespace/name`; undefined for a pod that is not among the copies: gone, without the label, or not seen yet. */
  rowsFor(podKey: string): PodView | undefined;
  /** Called after what `rowsFor` says of a pod may have changed; the returned function unsubscribes. */
  onChange(listener: (podKey: string) => void): () => void;
  seen(): Seen;
  /** Resolves once this replica has seen at least that much (kinds it does not know count as seen); rejects when the signal aborts first. */
  whenSeen(seen: Seen, signal: AbortSignal): Promise<void>;
}
