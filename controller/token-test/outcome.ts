// What an answer at the address of IMDS says about the chain webhook, redirect, token proxy, broker, controller, Azure. Pure.
import { at, isRecord, stringAt } from '../../lib/kube/objects.ts';

export interface TokenAnswer {
  status: number;
  /** Header of the answer; empty without it. */
  server: string;
  /** Parsed JSON, or text. */
  body: unknown;
}

export interface Outcome {
  passed: boolean;
  /** For a person. Holds no token. */
  text: string;
}

/** Of a token that was asked for. `selector`: of the bindings for the pod. */
export function outcomeOf(answer: TokenAnswer, selector: string): Outcome {
  const { status, body } = answer;
  if (!isProxy(answer)) return stranger(answer);
  if (status === 200 && isRecord(body) && typeof body.access_token === 'string')
    return passed(`${chain}: there is a token of client_id ${stringAt(body, 'client_id') ?? ''} until ${expiryOf(body)}`);
  const message = stringAt(body, 'error_description') ?? stringAt(body, 'error') ?? JSON.stringify(body);
  if (message.startsWith('Identity not found: no identity is bound to'))
    return failed(`no AzureIdentityBinding has the selector ${selector}, or none for this namespace. ${message}`);
  return failed(`the token proxy answered ${status}: ${message}`);
}

/** Of the status of the token proxy, for a pod without an identity. `isLast`: nobody asks again where the broker has not answered yet. */
export function statusOutcomeOf(answer: TokenAnswer, isLast: boolean): Outcome | undefined {
  const { status, body } = answer;
  if (!isProxy(answer)) return stranger(answer);
  if (status !== 200) return failed(`the token proxy answered ${status}: ${JSON.stringify(body)}`);
  if (at(body, 'broker', 'answeredSecondsAgo') !== undefined)
    return passed(`${chain}. No token was asked of Azure: set the chart value test.selector to that of an AzureIdentityBinding`);
  if (!isLast) return undefined;
  return failed(
    `the broker at ${stringAt(body, 'broker', 'address') ?? '?'} has not answered: ${stringAt(body, 'broker', 'error') ?? 'it was not called yet'}`,
  );
}

const chain = 'webhook, redirect, token proxy and broker work';

const isProxy = ({ server }: TokenAnswer): boolean => server.startsWith('IMDS/aad-pod-identity/');

const stranger = ({ server }: TokenAnswer): Outcome =>
  failed(
    `${server === '' ? 'something without a name' : server} answered at the address of IMDS, not the token proxy: this pod was not injected. Look at ` +
      'the Event NotInjected on it, and at kubectl get mutatingwebhookconfiguration zz-aad-pod-identity-webhook',
  );

/** Nothing answered at all. */
export const silence = (error: string): Outcome =>
  failed(`nothing answers at the address of IMDS (${error}): this pod was not injected, or a network policy denies it`);

function expiryOf(body: Record<string, unknown>): string {
  const seconds = Number(body.expires_on);
  return Number.isFinite(seconds) ? new Date(seconds * 1000).toISOString() : 'an unknown time';
}

const passed = (text: string): Outcome => ({ passed: true, text: `passed: ${text}` });
const failed = (text: string): Outcome => ({ passed: false, text: `failed: ${text}` });
