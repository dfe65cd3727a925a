// The changes that lead to a reconciliation, as the watches of controller-runtime:
//
//   Pod                                                    --> itself
//   AzureIdentity, AzureIdentityBinding, Exception         --> the pods that they may match
//   Node, when its providerID changes                      --> the pods on it
//   AzureAssignedIdentity                                  --> the pod that it names
import type { Assignment } from '../../lib/identities/assignment.ts';
import { isMismatchReport } from '../../lib/identities/imds-report.ts';
import type { Informers } from '../../lib/identities/informers.ts';

export interface ChangeHandlers {
  /** The pod, its matches or its node changed. */
  onPod(podKey: string): void;
  /** An object of the pod changed. `reported`: the object, where the change is a report that IMDS or Entra does not know its identity. */
  onAssignment(podKey: string, reported: Assignment | undefined): void;
}

/** Returns how to stop. */
export function watchInputs(informers: Informers, { onPod, onAssignment }: ChangeHandlers): () => void {
  const stops = [
    informers.matches.onChange(onPod),
    informers.nodes.onChange(({ key, before, after }) => {
      // The heartbeats of nodes change nothing for pods.
      if (before?.providerID === after?.providerID) return;
      for (const podKey of informers.podsOfNode(key)) onPod(podKey);
    }),
    informers.assignments.onChange(({ before, after }) => {
      // These are two pods where a person edited the object to name another one.
      const podKeys = new Set([before, after].flatMap((assignment) => assignment?.podKey ?? []));
      const reported = isMismatchReport(before, after) ? after : undefined;
      for (const podKey of podKeys) onAssignment(podKey, reported);
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}
