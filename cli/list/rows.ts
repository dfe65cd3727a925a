// `list`: one row for each identity of each labelled pod.
import { annotations } from '../../api/names.ts';
import type { Assignment } from '../../lib/identities/assignment.ts';
import { belongsTo } from '../../lib/identities/assignment.ts';
import type { Binding } from '../../lib/identities/binding.ts';
import type { Identity } from '../../lib/identities/identity.ts';
import type { MatchRules } from '../../lib/identities/match.ts';
import { bindingsOfPod, matchPod } from '../../lib/identities/match.ts';
import type { Pod } from '../../lib/identities/pod.ts';
import type { Code } from '../codes.ts';

export interface ListedIdentity {
  readonly namespace: string;
  readonly pod: string;
  /** `namespace/name`; empty for a pod without an identity. */
  readonly identity: string;
  readonly binding: string;
  /** `Assigned`, `Created`, or `None` where nothing assigns it. */
  readonly state: string;
  /** Of the AzureAssignedIdentity, or why there is none: both are codes of docs/troubleshooting.md. */
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
      const counting = bindingsOfPod(pod, bindings, rules);
      const { matches } = matchPod(pod, bindings, (key) => byKey.get(key), rules);
      const matched = matches.map(({ identity, binding }) => {
        const assignment = byPod.get(pod.key)?.find((found) => found.identityKey === identity.key && belongsTo(found, pod));
        return { ...ofPod(pod), identity: identity.key, binding: binding.key, ...stateOf(assignment, now) };
      });
      const dangling = counting
        .filter(({ identityKey }) => !byKey.has(identityKey))
        .map(({ key, identityKey }) => ({ ...ofPod(pod), identity: identityKey, binding: key, ...without('IdentityMissing') }));
      if (matched.length + dangling.length > 0) return [...matched, ...dangling];
      // A binding of another namespace may give an identity that is for pods of its own.
      const reason = counting.length === 0 ? 'BindingMissing' : 'BindingElsewhere';
      return [{ ...ofPod(pod), identity: '', binding: counting[0]?.key ?? '', ...without(reason) }];
    });
  return rows.sort((a, b) => compare(`${a.namespace}/${a.pod}`, `${b.namespace}/${b.pod}`));
}

/** Nothing assigns an identity; the reason is a code of the plugin. */
const without = (reason: Extract<Code, 'BindingMissing' | 'BindingElsewhere' | 'IdentityMissing'>) => ({
  state: 'None',
  reason,
  scope: '',
  waitingSeconds: undefined,
});

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
