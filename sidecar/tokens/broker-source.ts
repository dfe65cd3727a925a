// Tokens from the broker: of federated identities and of service principals. It mints them, so that neither a secret nor an assertion enters a pod.
import type { TokenRequest } from '../../api/broker.ts';
import { tokenPath } from '../../api/broker.ts';
import { rowKey } from '../../api/identity-choice.ts';
import type { Clock } from '../../common/clock.ts';
import type { BrokerClient } from '../broker/client.ts';
import { describeBrokerError } from '../broker/contact.ts';
import { parseError } from '../broker/responses.ts';
import type { TokenSource } from './source.ts';
import { parseTokens } from './token.ts';

const timeoutMs = 15_000;

export function createBrokerSource({ broker, clock }: { broker: BrokerClient; clock: Clock }): TokenSource {
  return {
    async fetch({ row, resource, xmsCc, bypass }, signal) {
      const body: TokenRequest = {
        identity: rowKey(row),
        resource,
        ...(xmsCc === undefined ? {} : { capabilities: xmsCc }),
        ...(bypass ? { refresh: true } : {}),
      };
      try {
        const response = await broker.call({ method: 'POST', path: tokenPath, body, timeoutMs, signal });
        const token = response.status === 200 ? parseTokens(response.body, clock.wall()) : undefined;
        if (token !== undefined) return { token };
        const { message: reason, entraError } = parseError(response.body);
        const message = reason || `the identity broker answered HTTP ${response.status}`;
        // 400 is an error of Entra that a retry does not mend, with its AADSTS code in the message. All else may pass: throttling, an outage, an unreadable Secret.
        if (response.status === 400) return { error: { code: 'final', status: 400, error: entraError || 'invalid_request', message } };
        return { error: { code: 'server', message } };
      } catch (error) {
        return { error: { code: 'network', message: describeBrokerError(error) } };
      }
    },
  };
}
