// Looks at every PATCH of ours in the moment in which it takes effect: did it take away what somebody else put there, or what a pod was using?
import type { AzureAssignedIdentity } from '../../../../api/kinds.ts';
import { at } from '../../../../lib/kube/objects.ts';
import type { LogEntry } from '../../../azure/core/log.ts';
import type { Emulator } from '../../../azure/emulator.ts';
import { idOf } from '../../azure/fixtures.ts';
import { statusOf } from '../harness/observations.ts';
import { scopeIds } from './azure.ts';
import type { Model } from './expected.ts';
import { attachmentOf, expectedAssignments } from './expected.ts';
import type { ForeignHand } from './foreign-hand.ts';
import type { AzureName, ScopeName } from './history.ts';
import { azureNames, scopeNames } from './history.ts';

export interface Removals {
  /** The model has just changed, the system not yet: what is no longer wanted may go from now on. */
  unwant(): void;
  /** The system has been told: what is wanted now counts from now on. */
  want(): void;
  /** What was taken away since the last reset that should not have been. */
  found(): string[];
  reset(): void;
  stop(): void;
}

export interface RemovalsOptions {
  emulator: Emulator;
  assigned(): Iterable<AzureAssignedIdentity>;
  model(): Model;
  hand: ForeignHand;
}

/**
 * A pod that has wanted an identity for so long is using it if its object says Assigned. The controller's watch and one PATCH that is already on
 * its way are allowed this much: nobody can take back what was sent before the pod was heard of.
 */
const settledMs = 500;

export function watchRemovals({ emulator, assigned, model, hand }: RemovalsOptions): Removals {
  /** Since when, by `pod scope name`. */
  const wanted = new Map<string, number>();
  const ours = new Set<number>();
  const attached = new Map<ScopeName, string[]>();
  const stopping = new AbortController();
  let found: string[] = [];

  /** Pods whose part in it is a matter of luck want nothing here. */
  const wants = () =>
    expectedAssignments(model(), () => false).flatMap((one) => {
      const name = attachmentOf(one);
      return name === undefined ? [] : [`${one.pod} ${one.scope} ${name}`];
    });

  function observe(entry: LogEntry): void {
    if (entry.kind === 'request') {
      // The foreign hand of the tests names no client.
      if (entry.service === 'arm' && entry.method === 'PATCH' && entry.headers['user-agent'] !== undefined) ours.add(entry.seq);
      return;
    }
    // The emulator's own line about a resource: `kind/name: state, etag n, identity type [names]`.
    const line = /^virtualMachine\w*\/(?<scope>[\w-]+): .*, identity [\w, ]+?(?: \[(?<names>.*)\])?$/.exec(entry.what);
    const scope = scopeNames.find((name) => name === line?.groups?.scope);
    if (scope === undefined) return;
    const before = attached.get(scope) ?? [];
    const after = (line?.groups?.names ?? '').split(' ');
    attached.set(scope, after);
    // An operation that failed is undone by Azure; that has no request as its cause.
    if (entry.cause === null || !ours.has(entry.cause)) return;
    const cause = entry.cause;
    for (const name of azureNames) if (before.includes(name) && !after.includes(name)) judge(scope, name, cause);
  }

  function judge(scope: ScopeName, name: AzureName, seq: number): void {
    const key = `${scope} ${name}`;
    if (hand.wasForeign(key, seq) && !hand.isDoubtful(key)) found.push(`PATCH ${seq} took away ${key}, which is foreign`);
    const now = performance.now();
    for (const [want, since] of wanted) {
      if (!want.endsWith(` ${key}`) || now - since < settledMs) continue;
      const pod = want.slice(0, -key.length - 1);
      const objects = [...assigned()].filter((object) => isServing(object, pod, name, model().pods.get(pod)?.node));
      if (objects.length > 0) found.push(`PATCH ${seq} took away ${key}, which ${pod} has been using for ${Math.round(now - since)} ms`);
    }
  }

  const watching = emulator.log.waitFor((entry) => {
    observe(entry);
    return false;
  }, stopping.signal);
  watching.catch(() => undefined);

  return {
    unwant() {
      const now = new Set(wants());
      for (const want of wanted.keys()) if (!now.has(want)) wanted.delete(want);
    },
    want() {
      for (const want of wants()) if (!wanted.has(want)) wanted.set(want, performance.now());
    },
    found: () => found,
    reset() {
      found = [];
      wanted.clear();
      ours.clear();
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
    object.metadata.deletionTimestamp === undefined &&
    `${spec?.podNamespace}/${spec?.pod}` === pod &&
    spec?.nodename === node &&
    String(at(spec, 'azureIdentityRef', 'spec', 'resourceID')).toLowerCase() === idOf(name).toLowerCase()
  );
}
