// One reconciliation covers all guarded namespaces: it counts the pods that their guard does not cover and records Events.
import type { Exception } from '../../lib/identities/exceptions.ts';
import type { LabelSelector } from '../../lib/identities/label-selector.ts';
import type { EventReason } from '../../lib/identities/reasons.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import type { EventRecorder, Regarding } from '../../lib/kube/events.ts';
import { list } from '../../lib/kube/list-and-watch.ts';
import { namespaces, pods } from '../../lib/kube/resources.ts';
import type { Logger } from '../../lib/log.ts';
import { suspects, unguardedName, unguardedText } from './coverage.ts';
import type { GuardNamespace } from './namespace.ts';
import { guardNamespaceOf, guardStateOf } from './namespace.ts';

export interface GuardOptions {
  client: KubeClient;
  log: Logger;
  events: EventRecorder<EventReason>;
  /** Of guarded namespaces. */
  selector: LabelSelector;
  releaseNamespace: string;
  exceptions: { values(): Iterable<Exception> };
  /** Takes the number of unguarded pods of every guarded namespace. */
  setUnguarded(counts: ReadonlyMap<string, number>): void;
}

const pageSize = 500;

/** A namespace whose pods cannot be listed holds up no other; the error is thrown at the end. */
export async function reconcileGuard(options: GuardOptions, signal: AbortSignal): Promise<void> {
  const { client, events, selector, releaseNamespace } = options;
  const { objects } = await list({ client, resource: namespaces, project: guardNamespaceOf }, { pageSize, signal });
  const counts = new Map<string, number>();
  const errors: unknown[] = [];
  for (const namespace of objects.values()) {
    const { guarded, problem } = guardStateOf(namespace, selector, releaseNamespace);
    if (problem !== undefined) events.record(regardingNamespace(namespace), 'Warning', 'GuardMisconfigured', problem);
    if (!guarded) continue;
    try {
      counts.set(namespace.name, await countUnguarded(options, namespace, signal));
    } catch (error) {
      if (signal.aborted) throw error;
      errors.push(error);
    }
  }
  options.setUnguarded(counts);
  if (errors.length > 0) throw new AggregateError(errors, 'pods of guarded namespaces cannot be listed');
}

/** Also records the Event. */
async function countUnguarded(options: GuardOptions, namespace: GuardNamespace, signal: AbortSignal): Promise<number> {
  const { client, events, exceptions } = options;
  const allowed = [...exceptions.values()].filter((one) => one.namespace === namespace.name && namespace.allowed.has(one.name));
  const names: string[] = [];
  for (const labelSelector of suspects) {
    const project = (raw: unknown) => unguardedName(raw, allowed);
    const found = await list({ client, resource: pods, namespace: namespace.name, labelSelector, project }, { pageSize, signal });
    names.push(...found.objects.values());
  }
  // The pods may change, the Event stays the same.
  if (names.length > 0)
    events.record(regardingNamespace(namespace), 'Warning', 'UnguardedPods', unguardedText(namespace.name, names), 'unguarded');
  return names.length;
}

/** The Event is in the namespace itself, where its users look. */
const regardingNamespace = ({ name, uid }: GuardNamespace): Regarding => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  namespace: name,
  name,
  uid,
});
