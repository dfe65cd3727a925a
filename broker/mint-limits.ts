// What one pod or namespace leaves of minting to the others (docs/adr/0025-fair-budgets-of-the-broker.md).
import type { Clock } from '../common/clock.ts';
import { resourceForm, scopeOf } from '../lib/azure/auth/scope.ts';
import { limitEach, waitInFairTurn } from '../lib/rate-limiters.ts';
import { BrokerError } from './error.ts';
import type { BrokerLimit } from './limits.ts';
import type { MintToken, TokenCall } from './token-call.ts';

/** Mints for an identity of the pod, whoever asks for it. */
export type MintForPod = (call: Omit<TokenCall, 'scope' | 'admit'>) => ReturnType<MintToken>;

/** A pod that asks for ever new resources must not exhaust Entra's limit for its application. */
const mintRate = { perSecond: 0.5, burst: 30 };
/** Requests that read a Secret or ask Entra: a tenant can make many pods. So there are no more of these calls, and namespaces take turns. */
const callRate = { perSecond: 40, burst: 200, maxWaiting: 1_000 };

export function limitMinting(options: { mintToken: MintToken; clock: Clock; onRefused(limit: BrokerLimit): void }): MintForPod {
  const { mintToken, clock, onRefused } = options;
  const mayMint = limitEach({ ...mintRate, keys: 20_000, clock });
  const turn = waitInFairTurn({ ...callRate, clock });
  return async (call) => {
    const { pod, resource } = call;
    if (!mayMint(pod.uid)) throw new BrokerError('throttled', 'too many token requests of this pod', { retryAfterSeconds: 5 });
    const scope = scopeOf(resource);
    if (scope === undefined) throw new BrokerError('bad_request', `resource must be ${resourceForm}`);
    const admit = async () => {
      if (await turn(pod.namespace)) return;
      onRefused('tokens');
      throw new BrokerError('throttled', 'too many token requests at once: try again', { retryAfterSeconds: 5 });
    };
    return mintToken({ ...call, scope, admit });
  };
}
