// The model: what should be, kept beside the real system by plain rules that share no code with the controller's.
import type { AzureName, ScopeName } from './history.ts';
import { scopeNames } from './history.ts';

export interface Model {
  pods: Map<string, { selector: string; node: string }>;
  bindings: Map<string, { identity: string; selector: string }>;
  identities: Map<string, AzureName>;
  nodes: Set<string>;
  /** What others attached and did not take away, `scope name`. */
  foreign: Set<string>;
  /** Attached by others while our record claims it, so that nobody can say whose it is. */
  doubtful: Set<string>;
}

export const emptyModel = (): Model => ({
  pods: new Map(),
  bindings: new Map(),
  identities: new Map(),
  nodes: new Set(),
  foreign: new Set(scopeNames.map((scope) => `${scope} foreign`)),
  doubtful: new Set(),
});

export const scopeOfNode = (node: string): ScopeName => scopeNames.find((scope) => node.startsWith(scope)) ?? 'machine';

export interface ExpectedAssignment {
  name: string;
  binding: string;
  /** Undefined where the pod's node is unknown: it stays as it is. */
  status: 'Assigned' | 'Created' | undefined;
}

export function expectedAssignments(model: Model): ExpectedAssignment[] {
  const all: ExpectedAssignment[] = [];
  for (const [pod, { selector, node }] of model.pods) {
    const first = new Map<string, string>();
    for (const [name, binding] of [...model.bindings].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (binding.selector === selector && model.identities.has(binding.identity) && !first.has(binding.identity))
        first.set(binding.identity, name);
    }
    for (const [identity, binding] of first) {
      const works = model.identities.get(identity) !== 'absent';
      const status = !model.nodes.has(node) ? undefined : works ? 'Assigned' : 'Created';
      all.push({ name: `${pod}-default-${identity}`, binding, status });
    }
  }
  return all.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** `scope name` of what our pods need and Azure can give. */
export function expectedAttached(model: Model): Set<string> {
  const all = new Set<string>();
  for (const { selector, node } of model.pods.values()) {
    if (!model.nodes.has(node)) continue;
    for (const binding of model.bindings.values()) {
      const azure = model.identities.get(binding.identity);
      if (binding.selector === selector && azure !== undefined && azure !== 'absent') all.add(`${scopeOfNode(node)} ${azure}`);
    }
  }
  return all;
}
