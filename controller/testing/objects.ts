// A fake of the AzureAssignedIdentities of some needs.
import type { Assignment } from '../../lib/identities/assignment.ts';
import type { Need } from '../../lib/identities/need.ts';
import type { StatusWriter } from '../../lib/identities/status-writer.ts';
import { assignment } from '../../lib/identities/testing/fixtures.ts';
import { createConditions } from './conditions.ts';

/** The objects of some needs, all Created; `updateStatus` changes them as the API server would. */
export function fakeObjects(needs: Need[]) {
  const byNeed = new Map<string, Assignment>();
  const keyOf = (of: Need) => `${of.pod.key} ${of.identityId}`;
  for (const each of needs) {
    const made = assignment(each.pod, each.match.identity, each.match.binding, { status: 'Created' });
    byNeed.set(keyOf(each), made);
  }
  const conditions = createConditions();
  const statuses: StatusWriter = {
    async updateStatus(current, status, changes) {
      for (const [key, each] of byNeed) {
        if (each !== current) continue;
        const annotations = { ...current.metadata.annotations };
        for (const [name, value] of Object.entries(changes)) {
          const annotation = `aadpodidentity.k8s.io/${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
          if (value === null || value === undefined) delete annotations[annotation];
          else annotations[annotation] = value;
        }
        byNeed.set(key, { ...current, status: status ?? current.status, metadata: { ...current.metadata, annotations } });
      }
      conditions.check();
    },
  };
  return {
    statuses,
    assignmentOf: (of: Need) => byNeed.get(keyOf(of)),
    add(of: Need, status = 'Created'): void {
      byNeed.set(keyOf(of), assignment(of.pod, of.match.identity, of.match.binding, { status }));
    },
    until: conditions.until,
  };
}
