// Why an identity is not assigned: the annotation `reason` of an AzureAssignedIdentity, the reason of an Event, and `reason` of a broker row.

/** Somebody has to change something; waiting does not help. The sidecar answers "Identity not found" with the reason. */
const terminalReasons = [
  'IdentityNotAllowed',
  'InvalidResourceID',
  'UnknownType',
  'UnsupportedNode',
  'ClientIDMismatch',
  'IdentityNotFound',
  'MissingRole',
  'DenyAssignment',
] as const;

/** The assignment goes on without a change of the objects. */
type PassingReason = 'ScopePaused' | 'Attaching' | 'Throttled' | 'AzureError' | 'WaitingForNode';

export type AssignmentReason = (typeof terminalReasons)[number] | PassingReason;

export const isTerminal = (reason: string | undefined): boolean => terminalReasons.some((terminal) => terminal === reason);
