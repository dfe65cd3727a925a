// The faults that are set: which requests each one hits, and how often.
import type { Service } from '../core/messages.ts';
import type { Effect } from './effects.ts';

export type Scope = {
  readonly service: Exclude<Service, 'control'> | null;
  /** A method, or `write` for PUT and PATCH. */
  readonly method: string | null;
  /** Part of the path, in any case. */
  readonly path: string | null;
  /** An ARM resource (itself or anything below it), or the audience a token is asked for. */
  readonly resource: string | null;
  /** Resource id, client id or principal id: the identity asked for, written, or signing in. */
  readonly identity: string | null;
};

export type Fault = {
  readonly id: string;
  readonly name: string;
  readonly scope: Scope;
  /** Matching requests to let pass first. */
  readonly skip: number;
  /** How many requests it hits; null: all. */
  readonly count: number | null;
  readonly probability: number;
  /** Emulated time at which it ends by itself. */
  readonly until: number | null;
  readonly effect: Effect;
};

/** Properties of a request that a fault can select by. */
export type Facts = {
  readonly service: Service;
  readonly method: string;
  readonly path: string;
  readonly resource: string | null;
  readonly identities: readonly string[];
};

const same = (left: string, right: string) => left.toLowerCase() === right.toLowerCase();

function meets(scope: Scope, facts: Facts): boolean {
  if (scope.service !== null && scope.service !== facts.service) return false;
  if (scope.method !== null && !(scope.method === 'write' ? ['PUT', 'PATCH'] : [scope.method]).some((one) => same(one, facts.method)))
    return false;
  if (scope.path !== null && !facts.path.toLowerCase().includes(scope.path.toLowerCase())) return false;
  if (scope.resource !== null) {
    if (facts.resource === null) return false;
    const below = facts.resource.toLowerCase().startsWith(`${scope.resource.toLowerCase()}/`);
    if (!same(scope.resource, facts.resource) && !below) return false;
  }
  const { identity } = scope;
  return identity === null || facts.identities.some((one) => same(one, identity));
}

export type ActiveFaults = {
  add(fault: Omit<Fault, 'id'>): Fault;
  list(now: number): readonly Fault[];
  /** One by id, or all. Returns how many were removed. */
  remove(id?: string): number;
  /** The faults that hit this request; each of them counts it. */
  take(facts: Facts, now: number): readonly Fault[];
};

export function createActiveFaults(random: () => number): ActiveFaults {
  let faults: Fault[] = [];
  let made = 0;
  const live = (fault: Fault, now: number) => fault.count !== 0 && (fault.until === null || now < fault.until);

  return {
    add(fault) {
      made += 1;
      const added = { ...fault, id: `fault-${made}` };
      faults.push(added);
      return added;
    },
    list: (now) => faults.filter((fault) => live(fault, now)),
    remove(id) {
      const before = faults.length;
      faults = id === undefined ? [] : faults.filter((fault) => fault.id !== id);
      return before - faults.length;
    },
    take(facts, now) {
      const taken: Fault[] = [];
      faults = faults
        .filter((fault) => live(fault, now))
        .map((fault) => {
          if (!meets(fault.scope, facts) || (fault.probability < 1 && random() >= fault.probability)) return fault;
          if (fault.skip > 0) return { ...fault, skip: fault.skip - 1 };
          taken.push(fault);
          return fault.count === null ? fault : { ...fault, count: fault.count - 1 };
        });
      return taken;
    },
  };
}
