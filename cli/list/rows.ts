// `list`: one row for each identity of each labelled pod.
import { annotations } from '../../api/names.ts';
import type { Assignment } from '../../lib/identities/assignment.ts';
import { belongsTo } from '../../lib/identities/assignment.ts';
import type { Binding } from '../../lib/identities/binding.ts';
import type { Identity } from '../../lib/identities/identity.ts';
import type { MatchRules } from '../../lib/identities/match.ts';
import { matchPod } from '../../lib/identities/match.ts';
import type { Pod } from '../../lib/identities/pod.ts';

export interface ListedIdentity {
  readonly namespace: string;
  readonly pod: string;
  /** `namespace/name`; empty for a pod without an identity. */
  readonly identity: string;
  readonly binding: string;
  /** `Assigned`, `Created`, or `None` where nothing assigns it. */
  readonly state: string;
  readonly reason: string;
  readonly node: string;
  /** Resource id of the scale set, the VM or, for a federated identity, the identity. */
  readonly scope: string;
  /** How long it waits; undefined for one that is assigned. */
  readonly waitingSeconds: number | undefined;
}

export interface ListInput {
  pods: readonly Pod[];
  bindings: readonly Binding[];
  identities: readonly Identity[];
  assignments: readonly Assignment[];
  rules: MatchRules;
  now: Date;
}

/** In the order of namespaces and names. */
export function listIdentities({ pods, bindings, identities, assignments, rules, now }: ListInput): ListedIdentity[] {
  const byKey = new Map(identities.map((identity) => [identity.key, identity]));
  const byPod = Map.groupBy(assignments, ({ podKey }) => podKey);
  const rows = pods
    .filter(({ finished }) => !finished)
    .flatMap((pod): ListedIdentity[] => {
      const { matches } = matchPod(pod, bindings, (key) => byKey.get(key), rules);
      if (matches.length === 0)
        return [{ ...ofPod(pod), identity: '', binding: '', state: 'None', reason: 'NoBinding', scope: '', waitingSeconds: undefined }];
      return matches.map(({ identity, binding }) => {
        const assignment = byPod.get(pod.key)?.find((found) => found.identityKey === identity.key && belongsTo(found, pod));
        return { ...ofPod(pod), identity: identity.key, binding: binding.key, ...stateOf(assignment, now) };
      });
    });
  return rows.sort((a, b) => compare(`${a.namespace}/${a.pod}`, `${b.namespace}/${b.pod}`));
}

const ofPod = ({ namespace, name, node }: Pod) => ({ namespace, pod: name, node });

function stateOf(assignment: Assignment | undefined, now: Date): Pick<ListedIdentity, 'state' | 'reason' | 'scope' | 'waitingSeconds'> {
  if (assignment === undefined) return { state: 'None', reason: '', scope: '', waitingSeconds: undefined };
  const { status, metadata } = assignment;
  const known = metadata.annotations ?? {};
  const created = Date.parse(metadata.creationTimestamp ?? '');
  const isWaiting = status !== 'Assigned' && Number.isFinite(created);
  return {
    state: status || 'Created',
    reason: known[annotations.reason] ?? '',
    scope: known[annotations.scope] ?? '',
    waitingSeconds: isWaiting ? Math.max(0, Math.round((now.getTime() - created) / 1000)) : undefined,
  };
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
