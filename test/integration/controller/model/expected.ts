// The model: what should be, kept beside the real system by plain rules that share no code with the controller's.
import type { AzureName, Command, IdentityKind, Namespace, ScopeName } from './history.ts';
import { namespaces, nodeNames, scopeNames } from './history.ts';

export interface ModelPod {
  selector: string;
  node: string;
  injected: boolean;
  finished: boolean;
  /** An exception fitted it once, or may have seemed to: then it may have begun, and keeps what it has. */
  wasExcepted: boolean;
}

/** All keys are `namespace/name`. */
export interface Model {
  pods: Map<string, ModelPod>;
  bindings: Map<string, { identity: string; selector: string }>;
  identities: Map<string, { azure: IdentityKind; namespaced: boolean }>;
  exceptions: Set<Namespace>;
  /** Of this history and of the one before: for a while after the API server restarts, the controller's list of exceptions may be old. */
  pastExceptions: { here: Set<Namespace>; before: Set<Namespace> };
  nodes: Set<string>;
}

export const emptyModel = (last?: Model): Model => ({
  pods: new Map(),
  bindings: new Map(),
  identities: new Map(),
  exceptions: new Set(),
  pastExceptions: { here: new Set(), before: new Set([...(last?.exceptions ?? []), ...(last?.pastExceptions.here ?? [])]) },
  nodes: new Set(nodeNames),
});

export const scopeOfNode = (node: string): ScopeName => scopeNames.find((scope) => node.startsWith(scope)) ?? 'machine';
export const namespaceOf = (key: string): string => key.split('/')[0] ?? '';
export const nameOf = (key: string): string => key.split('/')[1] ?? '';

/** False where the command is about something that is not there (or there already), and so does nothing. */
export function applyTo(model: Model, command: Command): boolean {
  const done = changed(model, command);
  for (const [key, pod] of model.pods) pod.wasExcepted ||= isExcepted(model, key, pod, true);
  return done;
}

function changed(model: Model, command: Command): boolean {
  switch (command.do) {
    case 'make pod': {
      if (model.pods.has(command.pod)) return false;
      const { selector, node, injected } = command;
      model.pods.set(command.pod, { selector, node, injected, finished: false, wasExcepted: false });
      return true;
    }
    case 'remove pod':
      return model.pods.delete(command.pod);
    case 'move pod': {
      const pod = model.pods.get(command.pod);
      if (pod !== undefined) model.pods.set(command.pod, { ...pod, node: command.node, finished: false, wasExcepted: false });
      return pod !== undefined;
    }
    case 'finish pod':
    case 'relabel pod': {
      const pod = model.pods.get(command.pod);
      if (pod === undefined) return false;
      if (command.do === 'finish pod') pod.finished = true;
      else pod.selector = command.selector;
      return true;
    }
    case 'set binding':
      model.bindings.set(command.binding, command);
      return true;
    case 'remove binding':
      return model.bindings.delete(command.binding);
    case 'set identity':
      model.identities.set(command.identity, command);
      return true;
    case 'remove identity':
      return model.identities.delete(command.identity);
    case 'set exception':
      model.exceptions.add(command.namespace);
      return true;
    case 'remove exception':
      model.pastExceptions.here.add(command.namespace);
      return model.exceptions.delete(command.namespace);
    case 'make node':
      model.nodes.add(command.node);
      return true;
    case 'remove node':
      return model.nodes.delete(command.node);
    default:
      return true;
  }
}

export interface ExpectedAssignment {
  key: string;
  pod: string;
  binding: string;
  azure: IdentityKind;
  scope: ScopeName;
  /** Undefined where the pod's node is unknown: it stays as it is, and Assigned means attached there as everywhere. */
  status: 'Assigned' | 'Created' | undefined;
}

/** Exceptions fit the pods that our webhook left alone. */
function isExcepted({ exceptions, pastExceptions: { here, before } }: Model, key: string, pod: ModelPod, orWas = false): boolean {
  const fits = (set: ReadonlySet<Namespace>) => namespaces.some((namespace) => namespace === namespaceOf(key) && set.has(namespace));
  return !pod.injected && (fits(exceptions) || (orWas && (fits(here) || fits(before))));
}

/**
 * `begun`: whether the pod has an object in the real system. That is asked only of a pod that an exception fitted for a while: whether it got
 * its objects in that time is a matter of luck, but it must have all of them or none.
 */
export function expectedAssignments(model: Model, begun: (pod: string) => boolean): ExpectedAssignment[] {
  const all: ExpectedAssignment[] = [];
  for (const [key, pod] of model.pods) {
    const takesPart = pod.injected || isExcepted(model, key, pod) || (pod.wasExcepted && begun(key));
    if (pod.finished || !takesPart) continue;
    // The own namespace first, then by binding name; of two identities of one name the first.
    const home = namespaceOf(key);
    const order = [home, ...namespaces.filter((namespace) => namespace !== home)];
    const taken = new Set<string>();
    for (const namespace of order) {
      const bindings = [...model.bindings].filter(([name]) => namespaceOf(name) === namespace).sort(([a], [b]) => (a < b ? -1 : 1));
      for (const [binding, { identity, selector }] of bindings) {
        const known = model.identities.get(identity);
        if (selector !== pod.selector || known === undefined || taken.has(nameOf(identity))) continue;
        if (known.namespaced && namespace !== home) continue;
        taken.add(nameOf(identity));
        const name = `${nameOf(key)}-${home}-${nameOf(identity)}`;
        all.push({
          key: `${known.namespaced ? namespace : 'default'}/${name}`,
          pod: key,
          binding,
          azure: known.azure,
          scope: scopeOfNode(pod.node),
          status: statusOf(known.azure, model.nodes.has(pod.node)),
        });
      }
    }
  }
  return all.sort((a, b) => (a.key < b.key ? -1 : 1));
}

function statusOf(azure: IdentityKind, nodeIsKnown: boolean): ExpectedAssignment['status'] {
  if (azure === 'principal') return 'Assigned';
  if (!nodeIsKnown) return undefined;
  return azure === 'absent' ? 'Created' : 'Assigned';
}

/** What has to be attached for the object to be Assigned; undefined where it needs nothing or can never be. */
export const attachmentOf = ({ azure }: ExpectedAssignment): AzureName | undefined =>
  azure === 'absent' || azure === 'principal' ? undefined : azure;
