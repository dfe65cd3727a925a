// Token source of service principals (types 1 and 2): the controller mints, so that secrets never enter a pod.
import type { TokenRequest } from '../../api/broker.ts';
import { tokenPath } from '../../api/broker.ts';
import type { Clock } from '../../common/clock.ts';
import { parseRefusal } from '../identities/answer.ts';
import type { Broker } from '../identities/broker.ts';
import { reasonOf } from '../identities/broker.ts';
import { rowKey } from '../identities/store.ts';
import type { TokenSource } from './source.ts';
import { parseTokens } from './token.ts';

const tryMs = 15_000;

export function createBrokerSource(options: { broker: Broker; clock: Clock }): TokenSource {
  const { broker, clock } = options;
  return {
    async fetch({ row, resource }, signal) {
      const body: TokenRequest = { identity: rowKey(row), resource };
      try {
        const answer = await broker.call({
          method: 'POST',
          path: tokenPath,
          body,
          timeoutMs: tryMs,
          signal,
        });
        const token = answer.status === 200 ? parseTokens(answer.body, clock.wall()) : undefined;
        if (token !== undefined) return { token };
        const { message } = parseRefusal(answer.body);
        const text = message || `the identity broker answered HTTP ${answer.status}`;
        // 400 is Entra's refusal, with its AADSTS code in the text; a throttled or failing Entra and an unreadable secret are not the caller's fault.
        if (answer.status === 400) return { trouble: { kind: 'final', status: 400, error: 'invalid_request', text } };
        return { trouble: { kind: 'server', text } };
      } catch (error) {
        return { trouble: { kind: 'network', text: `${broker.address}: ${reasonOf(error)}` } };
      }
    },
  };
}
