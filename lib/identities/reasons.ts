// Why an assignment is not there yet: the `reason` annotation of an AzureAssignedIdentity, an Event's reason, and `reason` of a broker row.

/** Waiting does not help: somebody has to change something. The sidecar answers "Identity not found" with the reason. */
const terminalReasons = [
  'InvalidResourceID',
  'UnknownType',
  'UnsupportedNode',
  'ClientIDMismatch',
  'IdentityNotFound',
  'MissingRole',
  'DenyAssignment',
] as const;

/** It goes on without a change of the objects. */
type PassingReason = 'ScopePaused' | 'Attaching' | 'Throttled' | 'AzureError' | 'WaitingForNode';

export type AssignmentReason = (typeof terminalReasons)[number] | PassingReason;

export const isTerminal = (reason: string | undefined): boolean => terminalReasons.some((terminal) => terminal === reason);
