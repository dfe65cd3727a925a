// Tokens of service principals, types 1 and 2. The broker mints them, so that no secret enters a pod.
import type { TokenRequest } from '../../api/broker.ts';
import { tokenPath } from '../../api/broker.ts';
import type { Clock } from '../../common/clock.ts';
import type { BrokerClient } from '../broker/client.ts';
import { parseError } from '../broker/responses.ts';
import { describeFetchError } from '../http.ts';
import { rowKey } from '../identities/row.ts';
import type { TokenSource } from './source.ts';
import { parseTokens } from './token.ts';

const timeoutMs = 15_000;

export function createBrokerSource({ broker, clock }: { broker: BrokerClient; clock: Clock }): TokenSource {
  return {
    async fetch({ row, resource }, signal) {
      const body: TokenRequest = { identity: rowKey(row), resource };
      try {
        const response = await broker.call({ method: 'POST', path: tokenPath, body, timeoutMs, signal });
        const token = response.status === 200 ? parseTokens(response.body, clock.wall()) : undefined;
        if (token !== undefined) return { token };
        const message = parseError(response.body).message || `the identity broker answered HTTP ${response.status}`;
        // 400 is an error of Entra that a retry does not mend, with its AADSTS code in the message. All else may pass: throttling, an outage, an unreadable Secret.
        if (response.status === 400) return { error: { code: 'final', status: 400, error: 'invalid_request', message } };
        return { error: { code: 'server', message } };
      } catch (error) {
        return { error: { code: 'network', message: `${broker.address}: ${describeFetchError(error)}` } };
      }
    },
  };
}
