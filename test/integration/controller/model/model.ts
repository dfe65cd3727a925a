// The model: what should be. Its plain rules share no code with the controller.
import type { AzureName, Command, IdentityKind, Namespace, ScopeName } from './history.ts';
import { azureNames, namespaces, nodeNames, scopeNames } from './history.ts';

export interface ModelPod {
  selector: string;
  node: string;
  injected: boolean;
  finished: boolean;
  /** An exception matched it once, or may have seemed to: then it may have objects, and keeps them. */
  wasExcepted: boolean;
}

/** All keys are `namespace/name`. */
export interface Model {
  pods: Map<string, ModelPod>;
  bindings: Map<string, { identity: string; selector: string }>;
  identities: Map<string, { azure: IdentityKind; namespaced: boolean; federated: boolean }>;
  exceptions: Set<Namespace>;
  /** Of this history and of the one before: after a restart of the API server the controller's list of exceptions may be old for a while. */
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

/** False where the command does nothing, because its object is missing or exists already. */
export function applyTo(model: Model, command: Command): boolean {
  const done = change(model, command);
  for (const [key, pod] of model.pods) pod.wasExcepted ||= isExcepted(model, key, pod, true);
  return done;
}

function change(model: Model, command: Command): boolean {
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
    case 'switch identity': {
      const identity = model.identities.get(command.identity);
      if (identity !== undefined) model.identities.set(command.identity, { ...identity, federated: command.federated });
      return identity !== undefined;
    }
    case 'remove identity':
      return model.identities.delete(command.identity);
    case 'touch identity':
      return model.identities.has(command.identity);
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
  pod: string;
  identity: string;
  namespace: string;
  /** Plain name of the object. Where the identity lies in another namespace than the pod, a hash may follow it. */
  name: string;
  /** The oldest of these is right; which one that is the model does not know. */
  bindings: string[];
  azure: IdentityKind;
  scope: ScopeName;
  /** Nothing is attached for it, and its node does not matter. */
  federated: boolean;
  /** Undefined where the pod's node is unknown: the object stays as it is; and for an identity of `hostile`, which may have to wait. */
  status: 'Assigned' | 'Created' | undefined;
}

/** Exceptions match the pods that the webhook did not inject. */
function isExcepted({ exceptions, pastExceptions: { here, before } }: Model, key: string, pod: ModelPod, orWas = false): boolean {
  const fits = (set: ReadonlySet<Namespace>) => namespaces.some((namespace) => namespace === namespaceOf(key) && set.has(namespace));
  return !pod.injected && (fits(exceptions) || (orWas && (fits(here) || fits(before))));
}

/**
 * `begun`: whether the pod has an object in the real system. It matters for a pod that an exception matched for a while: by chance it got its objects
 * in that time or not, but it must have all of them or none.
 */
export function expectedAssignments(model: Model, begun: (pod: string) => boolean): ExpectedAssignment[] {
  const all: ExpectedAssignment[] = [];
  for (const [key, pod] of model.pods) {
    const takesPart = pod.injected || isExcepted(model, key, pod) || (pod.wasExcepted && begun(key));
    if (pod.finished || !takesPart) continue;
    const home = namespaceOf(key);
    for (const [identity, known] of model.identities) {
      const bindings = [...model.bindings].filter(([, to]) => to.identity === identity && to.selector === pod.selector);
      if (bindings.length === 0 || (known.namespaced && namespaceOf(identity) !== home)) continue;
      const federated = known.federated && known.azure !== 'principal';
      const isPlaced = federated || model.nodes.has(pod.node);
      all.push({
        pod: key,
        identity,
        namespace: known.namespaced ? home : 'default',
        name: `${nameOf(key)}-${home}-${nameOf(identity)}`,
        bindings: bindings.map(([name]) => name),
        azure: known.azure,
        scope: scopeOfNode(pod.node),
        federated,
        status: statusOf(known.azure, isPlaced && (isBad(known.azure) || namespaceOf(identity) !== 'hostile')),
      });
    }
  }
  return all;
}

function statusOf(azure: IdentityKind, isCertain: boolean): ExpectedAssignment['status'] {
  if (azure === 'principal') return 'Assigned';
  if (!isCertain) return undefined;
  return isBad(azure) ? 'Created' : 'Assigned';
}

const isBad = (azure: IdentityKind): boolean => azure !== 'principal' && azureNames.every((name) => name !== azure);

/**
 * The identity that must be attached for the object to be Assigned; undefined for a service principal, for a federated identity and for one that Azure
 * refuses.
 */
export const attachmentOf = ({ azure, federated }: ExpectedAssignment): AzureName | undefined =>
  federated ? undefined : azureNames.find((name) => name === azure);
