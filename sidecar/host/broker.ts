// Asks the broker for the identity of a pod on this node, until it is assigned or the time is over. The broker holds the request and is asked again where
// it cannot answer.
import type { HostTokenRequest, IdentityRow } from '../../api/broker.ts';
import { hostTokenPath, maxHostTokenWait } from '../../api/broker.ts';
import type { Clock } from '../../common/clock.ts';
import { sleep } from '../../common/sleep.ts';
import type { BrokerClient, BrokerResponse } from '../broker/client.ts';
import { describeBrokerError } from '../broker/contact.ts';
import type { Counts } from '../broker/counts.ts';
import { parseError, parseHostToken } from '../broker/responses.ts';
import type { Token } from '../tokens/token.ts';
import { parseToken } from '../tokens/token.ts';

export type HostIdentity =
  /** `token` where the broker makes it. */
  | { identity: IdentityRow; token?: Token }
  /** `kind`: the pod gets no token; the source of the token refuses; nobody can say now. */
  | { failed: 'identity' | 'token' | 'request' | 'unavailable'; message: string };

export interface HostBrokerOptions {
  broker: BrokerClient;
  counts: Counts;
  clock: Clock;
  random: () => number;
}

/** The broker ends its wait by so much before the deadline, so that its reason arrives. */
const marginMs = 1_000;
const retryMs = { least: 200, most: 3_000 };

export async function askBroker(
  { broker, counts, clock, random }: HostBrokerOptions,
  request: Omit<HostTokenRequest, 'wait' | 'counts'>,
  { deadline, signal }: { deadline: number; signal: AbortSignal },
): Promise<HostIdentity> {
  for (let attempt = 1; ; attempt += 1) {
    const left = deadline - clock.now();
    const { counts: taken, text } = counts.take();
    const body: HostTokenRequest = { ...request, wait: waitOf(left), ...(text === undefined ? {} : { counts: text }) };
    const timeoutMs = Math.max(marginMs, left);
    let answer: HostIdentity;
    try {
      const response = await broker.call({ method: 'POST', path: hostTokenPath, body, timeoutMs, signal });
      broker.contact.succeeded();
      answer = readAnswer(response, clock.wall());
    } catch (error) {
      counts.giveBack(taken);
      answer = { failed: 'unavailable', message: `the identity broker does not answer: ${describeBrokerError(error)}` };
      if (!signal.aborted) broker.switchAddress();
    }
    if (!('failed' in answer) || answer.failed !== 'unavailable') return answer;
    const delay = Math.min(retryMs.most, retryMs.least * 2 ** Math.min(attempt, 6)) * (0.5 + random() / 2);
    if (signal.aborted || clock.now() + delay >= deadline) return answer;
    await sleep(clock, delay, signal);
    if (signal.aborted) return answer;
  }
}

const waitOf = (leftMs: number): number => Math.max(0, Math.min(maxHostTokenWait, Math.floor((leftMs - marginMs) / 1000)));

function readAnswer({ status, body }: BrokerResponse, wallMs: number): HostIdentity {
  if (status === 200) {
    const { identity, token: sent } = parseHostToken(body);
    if (sent === undefined) return { identity };
    const token = parseToken(sent, wallMs);
    return token === undefined ? { failed: 'token', message: 'the identity broker sent a token that is none' } : { identity, token };
  }
  const { code, message } = parseError(body);
  const text = message || `the identity broker answered HTTP ${status}`;
  if (code === 'not_found') return { failed: 'identity', message: text };
  if (code === 'token_failed' && status === 400) return { failed: 'token', message: text };
  if (code === 'bad_request') return { failed: 'request', message: text };
  return { failed: 'unavailable', message: text };
}
