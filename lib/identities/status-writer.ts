import type { AssignmentStatus } from '../../api/kinds.ts';
import type { Assignment } from './assignment.ts';

/** Our annotations on an AzureAssignedIdentity that say how it stands; null removes one. */
export type StatusAnnotations = Partial<
  Record<'scope' | 'clientId' | 'objectId' | 'assignedAt' | 'reason' | 'message' | 'retryAt', string | null>
>;

export interface StatusWriter {
  /**
   * Changes the status (undefined: leaves it) and the annotations of an AzureAssignedIdentity.
   * Throws a conflict if the object is no longer the one that `current` is.
   */
  updateStatus(current: Assignment, status: AssignmentStatus | undefined, annotations: StatusAnnotations): Promise<void>;
}
