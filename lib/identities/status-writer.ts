import type { AssignmentStatus } from '../../api/kinds.ts';
import type { Assignment } from './assignment.ts';

/** The annotations of an AzureAssignedIdentity that belong to its status; null removes one. */
export type StatusAnnotations = Partial<
  Record<'scope' | 'clientId' | 'objectId' | 'assignedAt' | 'reason' | 'message' | 'retryAt', string | null>
>;

export interface StatusWriter {
  /**
   * Changes the status, unless it is undefined, and these annotations of an AzureAssignedIdentity.
   * Throws a conflict if the object has changed since `current` was cached.
   */
  updateStatus(current: Assignment, status: AssignmentStatus | undefined, annotations: StatusAnnotations): Promise<void>;
}
