// Exchanges with Entra: at most one at a time for what a token depends on, whichever pods wait for it. It is repeated while Entra does not know a new
// credential and somebody waits (docs/adr/0031-minting-by-assertion.md).
import type { INetworkModule } from '@azure/msal-node';
import type { Clock } from '../../common/clock.ts';
import { sleep } from '../../common/sleep.ts';
import type { Failure } from '../../lib/azure/auth/aadsts.ts';
import { failureOf } from '../../lib/azure/auth/aadsts.ts';
import { EntraError } from '../../lib/azure/auth/application-token.ts';
import { exchangeAssertion } from '../../lib/azure/auth/exchange-assertion.ts';
import { isNewCredential } from '../../lib/identities/federation/record.ts';
import type { Logger } from '../../lib/log.ts';
import { BrokerError } from '../error.ts';
import type { ObtainedToken } from '../token-response.ts';
import { createTtlCache } from '../ttl-cache.ts';
import type { Assertion, AssertionSource } from './assertion.ts';
import { AssertionError } from './assertion.ts';
import { brokerErrorOf } from './failure.ts';
import type { EntraGates } from './gates.ts';
import { createEntraGates } from './gates.ts';
import type { FederatedPrincipal } from './principal.ts';
import type { TokenKey } from './tokens.ts';

export interface ExchangeRequest {
  key: TokenKey;
  principal: FederatedPrincipal;
  /** `namespace/name` of the AzureIdentity, and of the pod that asks. */
  identity: string;
  podKey: string;
  /** Of the pod. */
  namespace: string;
  /** Waits for the turn of that namespace. Throws a {@link BrokerError}. */
  admit(): Promise<void>;
}

export interface ExchangeOptions {
  assertions: AssertionSource;
  network: INetworkModule;
  clock: Clock;
  log: Logger;
  /** Called with the token of each exchange. */
  onToken(key: TokenKey, token: ObtainedToken): void;
  /** Entra does not know the client or its credential, and the credential is not new: the controller should look. */
  onUnknown(request: ExchangeRequest): void;
  /** `token`, or the AADSTS number of the error. */
  onResult(result: 'token' | number | undefined): void;
}

interface Flight {
  /** Clock.now() until which a caller waits. */
  until: number;
  /** Whose turn it waits for. The first begins the exchange: a namespace must not wait for the turn of another one. */
  namespaces: Set<string>;
  turn: PromiseWithResolvers<void>;
  hasTurn: boolean;
  refusals: number;
  result: Promise<ObtainedToken>;
}

/** Entra's answer. Each caller gets a text of its own, since AzureIdentities of several namespaces can share an exchange. */
class RefusalError extends Error {
  readonly answerTo: (request: ExchangeRequest) => BrokerError;

  constructor(answerTo: (request: ExchangeRequest) => BrokerError) {
    super('Entra refused');
    this.answerTo = answerTo;
  }
}

const answerFor = (error: unknown, request: ExchangeRequest): unknown => (error instanceof RefusalError ? error.answerTo(request) : error);

/** The sidecar waits 15 s for an answer of the broker. */
const callerMs = 11_000;
/** A final error is remembered so long, since Entra takes many pods with one broken identity for a client that loops. */
const finalErrorMs = 10_000;
/** AADSTS number: the identity is so new that a replica of Entra does not know it, or it was made anew with another client id. */
const unknownClient = 700016;
const firstDelayMs = 500;
const longestDelayMs = 4_000;

export class Exchanges {
  readonly #options: ExchangeOptions;
  readonly #gates: EntraGates;
  readonly #flights = new Map<string, Flight>();
  readonly #failures;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#gates = createEntraGates(options.clock);
    this.#failures = createTtlCache<BrokerError | RefusalError>(5_000, options.clock);
  }

  /** Throws a {@link BrokerError}, at the latest when the caller does not wait any longer. */
  async get(key: string, request: ExchangeRequest): Promise<ObtainedToken> {
    const { clock } = this.#options;
    const failed = this.#failures.get(key);
    if (failed !== undefined) throw answerFor(failed, request);
    const flight = this.#join(key, request, clock.now() + callerMs);
    const { promise, reject } = Promise.withResolvers<never>();
    const late = () =>
      reject(new BrokerError('not_ready', `Entra did not answer for AzureIdentity ${request.identity} in time: try again`));
    const cancel = clock.after(callerMs, late);
    try {
      return await Promise.race([flight.result, promise]);
    } catch (error) {
      throw answerFor(error, request);
    } finally {
      cancel();
    }
  }

  /** Without a caller that waits: one attempt. False where it fails, or has failed a moment ago. */
  async refresh(key: string, request: ExchangeRequest): Promise<boolean> {
    if (this.#failures.get(key) !== undefined) return false;
    return this.#join(key, request, this.#options.clock.now()).result.then(
      () => true,
      () => false,
    );
  }

  #join(key: string, request: ExchangeRequest, until: number): Flight {
    const flight = this.#flights.get(key) ?? this.#begin(key, request, until);
    flight.until = Math.max(flight.until, until);
    if (!flight.hasTurn && !flight.namespaces.has(request.namespace)) void this.#admit(flight, request);
    return flight;
  }

  #begin(key: string, request: ExchangeRequest, until: number): Flight {
    const turn = Promise.withResolvers<void>();
    const result = turn.promise.then(() => this.#run(key, request, () => flight.until)).finally(() => this.#flights.delete(key));
    const flight: Flight = { until, namespaces: new Set(), turn, hasTurn: false, refusals: 0, result };
    this.#flights.set(key, flight);
    return flight;
  }

  async #admit(flight: Flight, { namespace, admit }: ExchangeRequest): Promise<void> {
    flight.namespaces.add(namespace);
    try {
      await admit();
      flight.hasTurn = true;
      flight.turn.resolve();
    } catch (error) {
      flight.refusals += 1;
      if (flight.refusals === flight.namespaces.size) flight.turn.reject(error);
    }
  }

  async #run(key: string, request: ExchangeRequest, until: () => number): Promise<ObtainedToken> {
    try {
      const token = await this.#exchange(request, until);
      this.#options.onToken(request.key, token);
      return token;
    } catch (error) {
      if (!(error instanceof BrokerError || error instanceof RefusalError)) throw error;
      const { status, retryAfterSeconds = 1 } = error instanceof RefusalError ? error.answerTo(request) : error;
      this.#failures.set(key, error, status === 503 ? retryAfterSeconds * 1000 : finalErrorMs);
      throw error;
    }
  }

  async #exchange(request: ExchangeRequest, until: () => number): Promise<ObtainedToken> {
    const { assertions, clock } = this.#options;
    let assertion = await fromFile(assertions.get());
    let isReread = false;
    for (let delayMs = firstDelayMs; ; delayMs = Math.min(longestDelayMs, delayMs * 2)) {
      const result = await this.#attempt(request, assertion);
      if ('token' in result) return result.token;
      const { failure, error } = result;
      const now = clock.wall();
      if (failure.kind === 'assertion' && !isReread) {
        isReread = true;
        assertion = await fromFile(assertions.reread());
        continue;
      }
      const isUnknown = failure.kind === 'untrusted' || error.details.aadsts === unknownClient;
      const mayBeLearnt = isUnknown && isNewCredential(request.principal.record?.credential, now);
      if (mayBeLearnt && clock.now() + delayMs < until()) {
        await sleep(clock, delayMs);
        continue;
      }
      if (isUnknown && !mayBeLearnt) this.#options.onUnknown(request);
      const { trust } = assertion;
      throw new RefusalError(({ identity, principal }) => {
        const isNew = isUnknown && isNewCredential(principal.record?.credential, now);
        const meaning: Failure = isNew ? { ...failure, kind: 'untrusted' } : failure;
        return brokerErrorOf(error, meaning, { identity, principal, trust, now });
      });
    }
  }

  async #attempt(
    { key, identity }: ExchangeRequest,
    { token: assertion }: Assertion,
  ): Promise<{ token: ObtainedToken } | { failure: Failure; error: EntraError }> {
    const { network, clock, log, onResult } = this.#options;
    const { authority, tenantId, clientId, scope, capabilities } = key;
    const pause = this.#gates.closedFor(key);
    if (pause !== undefined)
      throw new BrokerError('token_failed', `Entra wants a pause of tenant ${tenantId}: try again in ${pause} s`, {
        status: 503,
        retryAfterSeconds: pause,
      });
    try {
      const token = await exchangeAssertion({ authority, tenantId, clientId, assertion, scope, capabilities, network });
      onResult('token');
      return { token: { ...token, obtainedAt: clock.wall() } };
    } catch (error) {
      if (!(error instanceof EntraError)) throw error;
      const { status, aadsts, requestId, retryAfterSeconds } = error.details;
      const failure = failureOf(error.details);
      onResult(aadsts);
      log.warn({ identity, tenantId, clientId, scope, status, aadsts, requestId, error: error.message }, 'no token from Entra');
      if (failure.kind === 'throttled') this.#gates.closeTenant(key, retryAfterSeconds);
      if (failure.kind === 'loop') this.#gates.closeClient(key, retryAfterSeconds);
      return { failure, error };
    }
  }
}

async function fromFile(assertion: Promise<Assertion>): Promise<Assertion> {
  try {
    return await assertion;
  } catch (error) {
    if (!(error instanceof AssertionError)) throw error;
    throw new BrokerError('token_failed', error.message, { status: 503, retryAfterSeconds: 10 });
  }
}
