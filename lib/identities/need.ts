import type { Match } from './match.ts';
import type { Pod } from './pod.ts';

/** One identity of type 0 that one pod needs on its node's scale set or virtual machine. */
export interface Need {
  pod: Pod;
  match: Match;
  /** Lower-case ARM id of the identity. */
  identityId: string;
  /** It stays attached until its object no longer says Assigned, but is never attached for this: what the object says may be forged. */
  keepOnly?: true;
}
