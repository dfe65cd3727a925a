// Reads of the API server whose failures are values: a right that is missing is named, and a kind that is not there is no error.
import type { KubeClient } from '../../lib/kube/client.ts';
import { isForbidden, isNotFound } from '../../lib/kube/errors.ts';
import { list } from '../../lib/kube/list-and-watch.ts';
import type { Place, Resource } from '../../lib/kube/resources.ts';
import { resourcePath } from '../../lib/kube/resources.ts';

/** `absent`: neither the object nor, maybe, its kind is there. `denied`: `right` is what the user lacks, as RBAC spells it. */
export type Read<T> =
  | { readonly value: T }
  | { readonly why: 'absent' }
  | { readonly why: 'denied'; readonly right: string }
  | { readonly why: 'failed'; readonly message: string };

export interface ListOptions {
  /** Undefined: all namespaces. */
  namespace?: string | undefined;
  labelSelector?: string;
  fieldSelector?: string;
}

export interface Reader {
  get(resource: Resource, place: Place): Promise<Read<unknown>>;
  list(resource: Resource, options?: ListOptions): Promise<Read<readonly unknown[]>>;
  /** Any path that answers JSON. `right`: what it needs. */
  call(path: string, right: string): Promise<Read<unknown>>;
  /** Every right that a read so far was denied for, in the order of the reads. */
  denied(): readonly string[];
}

const timeoutMs = 10_000;
/** Of all pages together. */
const listTimeoutMs = 20_000;
const pageSize = 500;

export function createReader(client: KubeClient, signal: AbortSignal): Reader {
  const denied = new Set<string>();
  const read = async <T>(right: string, call: () => Promise<T>): Promise<Read<T>> => {
    try {
      return { value: await call() };
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof DOMException && error.name === 'TimeoutError')
        return { why: 'failed', message: `no answer within ${listTimeoutMs / 1000} s` };
      if (isNotFound(error)) return { why: 'absent' };
      if (isForbidden(error)) {
        denied.add(right);
        return { why: 'denied', right };
      }
      return { why: 'failed', message: error instanceof Error ? error.message : String(error) };
    }
  };
  const call = (path: string, right: string) => read(right, () => client.call('GET', path, { signal, timeoutMs }));

  return {
    get: (resource, place) => call(resourcePath(resource, place), rightOf('get', resource, place)),
    list: (resource, { namespace, labelSelector, fieldSelector } = {}) =>
      read(rightOf('list', resource, { namespace }), async () => {
        const { objects } = await list<object>(
          {
            client,
            resource,
            project: (raw) => raw as object,
            ...(namespace === undefined ? {} : { namespace }),
            ...(labelSelector === undefined ? {} : { labelSelector }),
            ...(fieldSelector === undefined ? {} : { fieldSelector }),
          },
          { pageSize, signal: AbortSignal.any([signal, AbortSignal.timeout(listTimeoutMs)]) },
        );
        return [...objects.values()];
      }),
    call,
    denied: () => [...denied],
  };
}

const clusterScoped: ReadonlySet<string> = new Set([
  'nodes',
  'namespaces',
  'mutatingwebhookconfigurations',
  'customresourcedefinitions',
  'validatingadmissionpolicies',
  'validatingadmissionpolicybindings',
  'clusterroles',
]);

/** Such as `list azureidentities.aadpodidentity.k8s.io in all namespaces`. */
function rightOf(verb: string, { group, plural }: Resource, { namespace }: { namespace?: string | undefined }): string {
  const kind = group === '' ? plural : `${plural}.${group}`;
  if (clusterScoped.has(plural)) return `${verb} ${kind}`;
  return `${verb} ${kind} in ${namespace === undefined ? 'all namespaces' : `namespace ${namespace}`}`;
}

/** The value, or what stands in its place where it could not be read. */
export const valueOr = <T, U>(read: Read<T>, fallback: U): T | U => ('value' in read ? read.value : fallback);
