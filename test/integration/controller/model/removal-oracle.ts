// A second oracle: no PATCH of the controller detaches what another writer attached, or what a pod uses. It checks each PATCH when it takes effect.
import type { AzureAssignedIdentity } from '../../../../api/kinds.ts';
import { at } from '../../../../lib/kube/objects.ts';
import type { LogEntry } from '../../../azure/core/log.ts';
import type { Emulator } from '../../../azure/emulator.ts';
import { idOf } from '../../azure/fixtures.ts';
import { statusOf } from '../harness/observations.ts';
import type { Attribution } from './attribution.ts';
import { scopeIds } from './fixtures.ts';
import type { AzureName, ScopeName } from './history.ts';
import { azureNames, scopeNames } from './history.ts';
import type { Model } from './model.ts';
import { attachmentOf, expectedAssignments } from './model.ts';
import { isFederated } from './oracle.ts';

export interface RemovalOracle {
  /** The model has just changed, the system not yet: what is no longer wanted may be detached from now on. */
  modelChanged(): void;
  /** The system has changed, too: what is wanted now must stay from now on. */
  systemChanged(): void;
  /** Wrong removals since the last reset. */
  found(): string[];
  reset(): void;
  stop(): void;
}

export interface RemovalOracleOptions {
  emulator: Emulator;
  assigned(): Iterable<AzureAssignedIdentity>;
  model(): Model;
  attribution: Attribution;
}

/**
 * A pod uses an identity that it has wanted for this long if its object is Assigned. The time is for the controller's watch and for one PATCH on its
 * way, which was sent before the controller knew of the pod.
 */
const settledMs = 500;

export function watchRemovals({ emulator, assigned, model, attribution }: RemovalOracleOptions): RemovalOracle {
  /** Since when, by `pod scope name`. */
  const wanted = new Map<string, number>();
  /** Numbers of the controller's PATCHes in the emulator's log. */
  const patches = new Set<number>();
  const attached = new Map<ScopeName, string[]>();
  const stopping = new AbortController();
  let found: string[] = [];

  /** A pod that may or may not have its objects, by chance, wants nothing here. */
  const wants = () =>
    expectedAssignments(model(), () => false).flatMap((one) => {
      const name = attachmentOf(one);
      return name === undefined ? [] : [`${one.pod} ${one.scope} ${name}`];
    });

  function observe(entry: LogEntry): void {
    if (entry.kind === 'request') {
      // The other writer sends no user agent.
      if (entry.service === 'arm' && entry.method === 'PATCH' && entry.headers['user-agent'] !== undefined) patches.add(entry.seq);
      return;
    }
    // The emulator's own line about a resource: `kind/name: state, etag n, identity type [names]`.
    const line = /^virtualMachine\w*\/(?<scope>[\w-]+): .*, identity [\w, ]+?(?: \[(?<names>.*)\])?$/.exec(entry.what);
    const scope = scopeNames.find((name) => name === line?.groups?.scope);
    if (scope === undefined) return;
    const before = attached.get(scope) ?? [];
    const after = (line?.groups?.names ?? '').split(' ');
    attached.set(scope, after);
    // Azure undoes an operation that failed; such a change has no request as its cause.
    if (entry.cause === null || !patches.has(entry.cause)) return;
    const cause = entry.cause;
    for (const name of azureNames) if (before.includes(name) && !after.includes(name)) check(scope, name, cause);
  }

  function check(scope: ScopeName, name: AzureName, seq: number): void {
    const key = `${scope} ${name}`;
    if (attribution.wasForeign(key, seq) && !attribution.isUnknown(key)) found.push(`PATCH ${seq} detached ${key}, which is foreign`);
    const now = performance.now();
    for (const [want, since] of wanted) {
      if (!want.endsWith(` ${key}`) || now - since < settledMs) continue;
      const pod = want.slice(0, -key.length - 1);
      const objects = [...assigned()].filter((object) => isServing(object, pod, name, model().pods.get(pod)?.node));
      if (objects.length > 0) found.push(`PATCH ${seq} detached ${key}, which ${pod} has used for ${Math.round(now - since)} ms`);
    }
  }

  const watching = emulator.log.waitFor((entry) => {
    observe(entry);
    return false;
  }, stopping.signal);
  watching.catch(() => undefined);

  return {
    modelChanged() {
      const now = new Set(wants());
      for (const want of wanted.keys()) if (!now.has(want)) wanted.delete(want);
    },
    systemChanged() {
      for (const want of wants()) if (!wanted.has(want)) wanted.set(want, performance.now());
    },
    found: () => found,
    reset() {
      found = [];
      wanted.clear();
      patches.clear();
      const { resources } = emulator.state();
      for (const scope of scopeNames) {
        const there = resources.get(scopeIds[scope].toLowerCase())?.identity.user ?? {};
        attached.set(
          scope,
          azureNames.filter((name) => idOf(name).toLowerCase() in there),
        );
      }
    },
    stop: () => stopping.abort(),
  };
}

function isServing(object: AzureAssignedIdentity, pod: string, name: AzureName, node: string | undefined): boolean {
  const { spec } = object;
  return (
    statusOf(object) === 'Assigned' &&
    !isFederated(object) &&
    object.metadata.deletionTimestamp === undefined &&
    `${spec?.podNamespace}/${spec?.pod}` === pod &&
    spec?.nodename === node &&
    String(at(spec, 'azureIdentityRef', 'spec', 'resourceID')).toLowerCase() === idOf(name).toLowerCase()
  );
}
