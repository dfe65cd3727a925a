import type { Match } from './match.ts';
import type { Pod } from './pod.ts';

/** One identity of type 0 that one pod needs on its node's scale set or virtual machine. */
export interface Need {
  pod: Pod;
  match: Match;
  /** Lower-case ARM id of the identity. */
  identityId: string;
}
