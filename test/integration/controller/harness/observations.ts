// What a test sees of the system: AzureAssignedIdentities, Events, what Azure carries and was asked for; and waiting for it.
import type { AzureAssignedIdentity } from '../../../../api/kinds.ts';
import { annotations } from '../../../../api/names.ts';
import type { KubeClient } from '../../../../lib/kube/client.ts';
import type { Informer } from '../../../../lib/kube/informer.ts';
import { at, stringAt } from '../../../../lib/kube/objects.ts';
import type { LogEntry, RequestEntry } from '../../../azure/core/log.ts';
import type { Emulator } from '../../../azure/emulator.ts';
import { eventually, limitSeconds } from '../../../harness/wait.ts';
import { pool1 } from '../../azure/fixtures.ts';

export interface Observations {
  /** The AzureAssignedIdentity with this name, `<pod>-<namespace of the pod>-<identity>`, in `default`. */
  find(name: string): AzureAssignedIdentity | undefined;
  /** Its status; empty without the object. */
  status(name: string): string;
  /** AzureAssignedIdentities in all namespaces. */
  count(): number;
  /** Names of the user-assigned identities that a scale set or VM carries. */
  attached(scope?: string): string[];
  /** PATCHes that Resource Manager got so far. */
  patches(): number;
  /** Resolves once the condition holds; checks it at every change of an AzureAssignedIdentity and of Azure. */
  until(condition: () => boolean, what: string): Promise<void>;
  /** Waits until all of these AzureAssignedIdentities are Assigned. */
  untilAssigned(...names: string[]): Promise<void>;
  /** Waits until the AzureAssignedIdentity carries this reason why it is not Assigned. */
  untilReason(name: string, reason: string): Promise<void>;
  /** Waits until there is no AzureAssignedIdentity, and the scale set carries only the identity `third`, which was there before. */
  untilReleased(): Promise<void>;
  /** Waits for an Event about the object whose `reason: note` matches. */
  untilEvent(kind: string, name: string, pattern: RegExp): Promise<void>;
  /** Requests to Resource Manager after this number of the emulator's log. */
  armRequests(since?: number): RequestEntry[];
  /** Waits for a request to Resource Manager that matches, after this number of the emulator's log. */
  untilArmRequest(matches: (entry: RequestEntry) => boolean, since?: number): Promise<LogEntry>;
}

export const statusOf = (assigned: AzureAssignedIdentity | undefined): string => assigned?.status?.status ?? '';

export const annotationOf = (assigned: AzureAssignedIdentity | undefined, name: keyof typeof annotations): string | undefined =>
  assigned?.metadata.annotations?.[annotations[name]];

export function observe(client: KubeClient, emulator: Emulator, assigned: Informer<AzureAssignedIdentity>): Observations {
  const find = (name: string) => assigned.get(`default/${name}`);
  const count = () => [...assigned.values()].length;

  const attached = (scope = pool1) => {
    const resource = emulator.state().resources.get(scope.toLowerCase());
    return Object.keys(resource?.identity.user ?? {})
      .map((id) => id.split('/').at(-1) ?? '')
      .sort();
  };

  const armRequests = (since?: number) => emulator.log.list(since).filter(isArmRequest);

  async function until(condition: () => boolean, what: string): Promise<void> {
    const changed = Promise.withResolvers<void>();
    const check = () => {
      if (condition()) changed.resolve();
    };
    const off = assigned.onChange(check);
    // A listener of Azure's changes cannot leave again, so Azure is asked often.
    const timer = setInterval(check, 20);
    const limit = setTimeout(() => changed.reject(new Error(`not after ${limitSeconds} s: ${what}`)), limitSeconds * 1000);
    check();
    try {
      await changed.promise;
    } finally {
      off();
      clearInterval(timer);
      clearTimeout(limit);
    }
  }

  return {
    find,
    status: (name) => statusOf(find(name)),
    count,
    attached,
    patches: () => armRequests().filter(({ method }) => method === 'PATCH').length,
    until,
    untilAssigned: (...names) => until(() => names.every((name) => statusOf(find(name)) === 'Assigned'), `${names} Assigned`),
    untilReason: (name, reason) => until(() => annotationOf(find(name), 'reason') === reason, `reason ${reason} of ${name}`),
    untilReleased: () => until(() => count() === 0 && attached().join() === 'third', 'no object, and only `third` attached'),
    untilEvent: (kind, name, pattern) =>
      eventually(async () => {
        const items = at(await client.call('GET', '/apis/events.k8s.io/v1/events'), 'items');
        return (Array.isArray(items) ? items : [])
          .filter((item: unknown) => stringAt(item, 'regarding', 'kind') === kind && stringAt(item, 'regarding', 'name') === name)
          .some((item: unknown) => pattern.test(`${stringAt(item, 'reason')}: ${stringAt(item, 'note')}`));
      }, `an Event ${pattern} about ${kind} ${name}`),
    armRequests,
    untilArmRequest: (matches, since = 0) => emulator.log.waitFor((entry) => entry.seq > since && isArmRequest(entry) && matches(entry)),
  };
}

const isArmRequest = (entry: LogEntry): entry is RequestEntry => entry.kind === 'request' && entry.service === 'arm';
