// Token source of user-assigned managed identities: the real IMDS, which the redirect lets this process reach.

import type { Clock } from '../../common/clock.ts';
import { isRecord } from '../identities/answer.ts';
import type { Fetch } from '../identities/broker.ts';
import { parseJson, reasonOf } from '../identities/broker.ts';
import { rowKey } from '../identities/store.ts';
import type { Gate } from './gate.ts';
import type { Outcome, TokenQuestion, TokenSource, Trouble } from './source.ts';
import { parseToken } from './token.ts';

export const imdsApiVersion = '2018-02-01';
export const imdsTokenPath = '/metadata/identity/oauth2/token';

export interface ImdsAnswer {
  status: number;
  headers: Headers;
  text: string;
  /** The answerer calls itself IMDS; an NMI on the node or the WireServer does not. */
  genuine: boolean;
}

export interface Imds {
  /** GET with headers of our own only. Rejects when no answer came in time. */
  get(path: string, query: Record<string, string>, options: { timeoutMs: number; signal: AbortSignal }): Promise<ImdsAnswer>;
}

export function createImds(options: { fetch: Fetch; url: string; userAgent: string; clock: Clock }): Imds {
  return {
    async get(path, query, { timeoutMs, signal }) {
      const url = new URL(path, options.url);
      url.search = new URLSearchParams(query).toString();
      const controller = new AbortController();
      const abort = () => controller.abort();
      const cancel = options.clock.after(timeoutMs, () => controller.abort(new Error('no answer in time')));
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort, { once: true });
      try {
        const response = await options.fetch(url.href, {
          headers: { metadata: 'true', accept: '*/*', 'user-agent': options.userAgent },
          signal: controller.signal,
          redirect: 'manual',
        });
        const text = await response.text();
        return {
          status: response.status,
          headers: response.headers,
          text,
          genuine: /\bIMDS\b/i.test(response.headers.get('server') ?? ''),
        };
      } finally {
        cancel();
        signal.removeEventListener('abort', abort);
      }
    },
  };
}

/** How long one try may take: further ones must fit into a request's 45 s. */
const tryMs = 10_000;

export function createImdsSource(options: { imds: Imds; gate: Gate; clock: Clock }): TokenSource {
  const { imds, gate, clock } = options;
  return {
    async fetch(question, signal) {
      // An empty selector is none to IMDS: it would answer for whatever identity the node has.
      if (question.row.resourceID === '') return { trouble: nothingToAskFor(question) };
      const leave = await gate.enter(signal);
      if (leave === undefined) return { trouble: { kind: 'network', text: 'given up while waiting for earlier requests' } };
      let outcome: Outcome;
      try {
        outcome = readAnswer(await imds.get(imdsTokenPath, tokenQuery(question), { timeoutMs: tryMs, signal }), question, clock.wall());
      } catch (error) {
        outcome = { trouble: { kind: 'network', text: reasonOf(error) } };
      }
      leave('token' in outcome);
      return outcome;
    },
  };
}

/** Exactly one selector, the resource id: whatever IMDS would take for a default never decides whose token this pod gets. */
function tokenQuery({ row, resource, xmsCc, bypass }: TokenQuestion): Record<string, string> {
  return {
    'api-version': imdsApiVersion,
    resource,
    msi_res_id: row.resourceID,
    ...(xmsCc === undefined ? {} : { xms_cc: xmsCc }),
    ...(bypass ? { bypass_cache: 'true' } : {}),
  };
}

function nothingToAskFor({ row }: TokenQuestion): Trouble {
  const text = `Identity not found: AzureIdentity ${rowKey(row)} has no resourceID`;
  return { kind: 'final', status: 400, error: 'invalid_request', text };
}

function readAnswer(answer: ImdsAnswer, question: TokenQuestion, wallMs: number): Outcome {
  const requestId = answer.headers.get('x-ms-request-id') ?? crypto.randomUUID();
  if (answer.status !== 200) return { trouble: readTrouble(answer, requestId) };
  const token = parseToken(parseJson(answer.text), wallMs);
  if (token === undefined) return { trouble: { kind: 'server', text: 'IMDS answered 200 without a token' } };
  const expected = question.row.clientID.toLowerCase();
  if (token.clientId !== undefined && expected !== '' && token.clientId.toLowerCase() !== expected) {
    const text = `IMDS answered for client id ${token.clientId} where ${question.row.resourceID} has ${question.row.clientID}`;
    return { trouble: { kind: 'wrong_client_id', text, requestId } };
  }
  return { token };
}

/** Statuses by spec/azure-protocols.md 1.5. The words of a trouble reach the application; they are IMDS's own. */
function readTrouble(answer: ImdsAnswer, requestId: string): Trouble {
  const body = parseJson(answer.text);
  const part = (key: string) => (isRecord(body) && typeof body[key] === 'string' ? body[key] : '');
  const error = part('error');
  const text = part('error_description') || error || `IMDS answered HTTP ${answer.status}`;
  // Not from IMDS at all: an NMI that still runs on this node, or the WireServer while IMDS restarts.
  if (!answer.genuine && !isRecord(body))
    return { kind: 'not_imds', text: `HTTP ${answer.status} from something on this node that is not IMDS (an NMI of aad-pod-identity?)` };
  switch (answer.status) {
    case 404:
      return { kind: 'updating', text };
    case 410:
      return { kind: 'restarting', text };
    case 429:
      return { kind: 'throttled', text };
    case 400:
      return /identity not found/i.test(text)
        ? { kind: 'identity_not_found', text, requestId }
        : { kind: 'final', status: 400, error: error || 'invalid_request', text };
    case 401:
    case 403:
      return { kind: 'final', status: answer.status, error: error || 'unauthorized_client', text };
    default:
      return { kind: 'server', text };
  }
}
