// What every step of one reconciliation of a federated identity works on.
import type { Need } from '../../lib/identities/need.ts';
import type { Logger } from '../../lib/log.ts';
import type { FederatedCredentials } from '../azure/arm/federated-credentials.ts';
import type { FederationBroker } from './proof-client.ts';
import type { RecordStore, StoredRecord } from './record-store.ts';
import type { IdentityState } from './state.ts';
import type { StatusContext } from './status.ts';
import type { Turns } from './turns.ts';

export interface FederationOptions extends StatusContext {
  needsOf(identityId: string): Need[];
  credentials: FederatedCredentials;
  broker: FederationBroker;
  store: RecordStore;
  log: Logger;
  /** From 0 to 1. */
  random(): number;
  /** False once leadership is about to end: then nothing is written to Azure. */
  mayWrite(): boolean;
  /** False: credentials are neither made nor deleted. */
  manageCredentials: boolean;
  /** How long a credential of ours stays that no pod needs. */
  detachDelayMs: number;
  /** What a proof asks a token for: Resource Manager of the cloud, which every tenant knows. */
  proofResource: string;
}

/** What is remembered of an identity. It changes by the transitions of state.ts only. */
export interface IdentityEntry {
  state: IdentityState;
}

/** One reconciliation. */
export interface FederationContext extends FederationOptions {
  /** Lower-case ARM id. */
  readonly identity: string;
  readonly entry: IdentityEntry;
  readonly turns: Turns;
  readonly signal: AbortSignal;
  /** As it was loaded or saved last. */
  stored: StoredRecord;
}

/** Leadership is about to end. The next leader goes on, or this one once it has renewed its Lease. */
export const interruptedMs = 500;
