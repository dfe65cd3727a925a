// Single passes over a scope in memory, each at a time that the test says.

import type { Need } from '../../../lib/identities/need.ts';
import { heardEvents } from '../../../lib/identities/testing/events.ts';
import { createScopePass } from '../reconciler.ts';
import type { ScopeParts } from './scope-worker.ts';
import { situation } from './scope-worker.ts';

export function passes(parts: ScopeParts) {
  let now = 0;
  const { options, ...rest } = situation(parts, () => new Date(now));
  const { events, list: heard } = heardEvents();
  const pass = createScopePass({ ...options, events });
  const noteOf = (of: Need, name: string) => rest.objects.assignmentOf(of)?.metadata.annotations?.[`aadpodidentity.k8s.io/${name}`];
  return {
    ...rest,
    heard,
    pass,
    /** Runs one pass so many milliseconds after the epoch; tells after how many the next is due. */
    at(ms: number): Promise<number> {
      now = ms;
      return pass.run(new AbortController().signal);
    },
    /** Adds a pod that comes now. */
    come(late: Need): Need {
      parts.needs.push(late);
      rest.objects.add(late);
      return late;
    },
    noteOf,
    reasonOf: (of: Need) => noteOf(of, 'reason'),
    statusOf: (of: Need) => rest.objects.assignmentOf(of)?.status,
  };
}
