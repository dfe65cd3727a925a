import type { ConflictReason } from '../../lib/identities/reasons.ts';
import type { Regarding } from '../../lib/kube/events.ts';

/** Another controller that writes the same objects and the same scale sets. */
export interface Conflict {
  /** The object that shows that it runs. An Event is recorded on it. */
  regarding: Regarding;
  reason: ConflictReason;
  /** Which controller it is, what it keeps ours from, and what to do. */
  message: string;
}

/** `unknown`: it could not be found out. Never rejects. */
export type ConflictDetector = (signal: AbortSignal) => Promise<Conflict | 'none' | 'unknown'>;
