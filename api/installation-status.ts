// What only the leader knows, in a ConfigMap of the release namespace: the kubectl plugin reads it, so that nobody has to forward a port.

export const statusConfigMapName = 'aad-pod-identity-status';
export const statusKey = 'status.json';

/** How the last call went. `unknown`: there was none yet. `at`: RFC 3339. */
export type CallStatus = { state: 'unknown' } | { state: 'working'; at: string } | { state: 'failing'; at: string; message: string };

export interface QuarantinedIdentity {
  /** Resource id, lower case. */
  identity: string;
  /** RFC 3339: when it is tried again. */
  until: string;
}

/** A scale set or virtual machine. */
export interface ScopeStatus {
  /** Resource id. */
  id: string;
  /** Why nothing can be attached or detached now. `reason`: as on AzureAssignedIdentities. `until`: RFC 3339, when the next try is due. */
  failure?: { reason: string; message: string; until: string };
  /** Somebody set `paused` in its record. */
  paused: boolean;
  quarantined: QuarantinedIdentity[];
}

export interface InstallationStatus {
  version: string;
  /** Name of the leader in the Lease. */
  leader: string;
  /** RFC 3339. It is written anew at least once a minute. */
  writtenAt: string;
  mode: 'standard' | 'managed';
  /** On which matching and assignment depend. */
  settings: { forceNamespaced: boolean; bindingNamespaces: string[]; assignment: 'attach' | 'federate'; assignUninjected: boolean };
  signIn: CallStatus;
  resourceManager: CallStatus;
  /** Another controller does the same work, so this one does nothing. */
  conflict?: { reason: string; message: string };
  /** Those with a problem first; at most {@link maxScopes}. */
  scopes: ScopeStatus[];
  /** How many scopes are not listed. */
  scopesLeftOut: number;
}

/** An object of the API server holds 1 MiB. */
export const maxScopes = 500;
