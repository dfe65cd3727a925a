// The end of a scope: nodes come and go under ever new names, and each would leave a record and a worker behind.

import type { Scope } from '../../lib/azure/resource-ids.ts';
import type { Logger } from '../../lib/log.ts';
import type { ScopeRecords } from './ownership.ts';

export interface ScopeEndOptions {
  scope: Scope;
  records: ScopeRecords;
  log: Logger;
  /** For so long it must have been idle. */
  reconcileMs: number;
}

export function createScopeEnd({ scope, records, log, reconcileMs }: ScopeEndOptions) {
  let idleSince: number | undefined;

  return {
    /** Something needs the scope, or Azure knows it. */
    alive(): void {
      idleSince = undefined;
    },
    /** Nothing is left to do: Azure says that it is not there, or nothing needs it and nothing on it is ours. Tells when to come back; infinite: never. */
    async idle(now: number): Promise<number> {
      idleSince ??= now;
      const restMs = idleSince + reconcileMs - now;
      if (restMs > 0) return restMs;
      try {
        const stored = await records.load(scope.id);
        // The brake of a person stays on.
        if (!stored.record.paused) await records.remove(stored);
        log.info({ scope: scope.displayId }, 'scope is idle or gone, its record is removed');
      } catch (error) {
        log.warn({ scope: scope.displayId, error: String(error) }, 'record of an idle scope not removed');
        return reconcileMs;
      }
      return Number.POSITIVE_INFINITY;
    },
  };
}
