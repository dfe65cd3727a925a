// The shape of a service: what it receives, and what it gives back. No handler touches a socket, a timer or the state itself.
import type { Effect } from '../faults/effects.ts';
import type { Change, State, VmReference } from '../state/model.ts';
import type { IssuerKey } from './issuers.ts';
import type { KeyRing } from './keys.ts';
import type { Answer, Incoming } from './messages.ts';

export type Context = {
  readonly state: State;
  /** Emulated milliseconds since the epoch. */
  readonly now: number;
  readonly keys: Pick<KeyRing, 'sign' | 'verifies' | 'jwks' | 'attest'>;
  readonly random: () => number;
  /** The faults this request has met. */
  readonly effects: readonly Effect[];
  /** The machine whose IMDS was asked; null elsewhere. */
  readonly vm: VmReference | null;
  /** Requests for tokens of that machine that are being worked on, this one included. */
  readonly inFlight: number;
  readonly entraUrl: string;
  /** Keys that this issuer publishes; null where they cannot be had. */
  readonly issuerKeys: (issuer: string) => readonly IssuerKey[] | null;
};

export type Outcome = {
  readonly answer: Answer;
  readonly changes: readonly Change[];
  /** How long the work takes; its changes show at once. */
  readonly delayMs?: number;
};

export type Handler = (request: Incoming, context: Context) => Outcome;

export const only = (answer: Answer): Outcome => ({ answer, changes: [] });
