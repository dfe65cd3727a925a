// What the webhook will do with the pods of each workload: its own decision, before any guard is there. Pure.
import { decide } from '../../lib/identities/decision/decide.ts';
import { podSecurityObstacle } from '../../lib/identities/decision/guard.ts';
import type { Outcome } from '../../lib/identities/decision/outcome.ts';
import { parsePod } from '../../lib/identities/decision/pod-view.ts';
import { PodShapeError } from '../../lib/identities/decision/raw-pod.ts';
import type { MigrationInput, NamespaceKnowledge } from './input.ts';
import { namespaceIn } from './input.ts';
import type { Workload } from './workloads.ts';

/** What the webhook would do with the pods of a workload, or why that cannot be told. */
export type Admission = { workload: Workload } & (
  | { outcome: Outcome }
  | { outcome: 'excluded'; namespace: NamespaceKnowledge }
  | { outcome: 'pod security'; obstacle: string; namespace: NamespaceKnowledge }
  | { outcome: 'malformed'; why: string }
);

const settings = { mode: 'native', hostNetwork: 'skip', guardHostNetwork: 'warn' } as const;

export function admissionsOf(input: MigrationInput): Admission[] {
  return input.workloads.map((workload): Admission => {
    const namespace = namespaceIn(input, workload.namespace);
    const exceptions = input.exceptions.filter((exception) => exception.namespace === workload.namespace);
    const decideWith = (facts: NamespaceKnowledge) => decide({ pod: parsePod(workload.raw), namespace: facts, exceptions, settings });
    try {
      const outcome = decideWith(namespace);
      if (outcome.decision !== 'inject' && outcome.decision !== 'deny') return { workload, outcome };
      if (namespace.excluded) return { workload, outcome: 'excluded', namespace };
      if (outcome.decision === 'deny' || outcome.interception === 'none') return { workload, outcome };
      const obstacle = podSecurityObstacle(namespace);
      if (obstacle === undefined) return { workload, outcome };
      // The annotation of the namespace is the way out, unless it collides with variables of the pod.
      const without = decideWith({ ...namespace, interception: 'none' });
      return without.decision === 'deny' ? { workload, outcome: without } : { workload, outcome: 'pod security', obstacle, namespace };
    } catch (error) {
      if (!(error instanceof PodShapeError)) throw error;
      return { workload, outcome: 'malformed', why: error.message };
    }
  });
}

/** The webhook gives their pods a token proxy, once the namespace says how where Pod Security demands it. */
export const injectedWorkloads = (input: MigrationInput): Workload[] =>
  admissionsOf(input)
    .filter(({ outcome }) => outcome === 'pod security' || (typeof outcome === 'object' && outcome.decision === 'inject'))
    .map(({ workload }) => workload);

/** Whose Pod Security refuses the redirect. */
export const namespacesWithoutRedirect = (input: MigrationInput): string[] => [
  ...new Set(admissionsOf(input).flatMap((admission) => (admission.outcome === 'pod security' ? [admission.workload.namespace] : []))),
];
