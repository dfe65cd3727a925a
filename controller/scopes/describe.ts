// What a person is told of one scope who asks how the installation is. Pure.
import type { QuarantinedIdentity, ScopeStatus } from '../../api/installation-status.ts';
import type { ScopeEntry } from './context.ts';

export function describeScope({ scope, state }: ScopeEntry, now: number): ScopeStatus {
  const { ofScope } = state.failures;
  return {
    id: scope.displayId,
    ...(ofScope === undefined || ofScope.until <= now
      ? {}
      : { failure: { reason: ofScope.reason, message: ofScope.message, until: timeOf(ofScope.until) } }),
    paused: state.paused,
    quarantined: [...state.quarantine.held].flatMap(([key, { until }]): QuarantinedIdentity[] =>
      // A key is the direction and the id.
      until > now ? [{ identity: key.slice(key.indexOf(' ') + 1), until: timeOf(until) }] : [],
    ),
  };
}

/** The times of a failure can be infinite: it ends with a change. */
const timeOf = (ms: number): string => (Number.isFinite(ms) ? new Date(ms).toISOString() : '');
