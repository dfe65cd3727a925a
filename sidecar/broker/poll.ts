// Keeps the identity store equal to what the broker says, by one long poll after the other (docs/adr/0020-revocation-and-outages.md).
import type { IdentitiesResponse } from '../../api/broker.ts';
import { identitiesPath } from '../../api/broker.ts';
import { rowKey } from '../../api/identity-choice.ts';
import type { Clock } from '../../common/clock.ts';
import { sleep } from '../../common/sleep.ts';
import { describeFetchError } from '../http.ts';
import type { IdentityStore } from '../identities/store.ts';
import type { Log } from '../log.ts';
import type { BrokerClient, BrokerResponse } from './client.ts';
import { BrokerUnreachedError } from './contact.ts';
import type { Counts } from './counts.ts';
import { isRevocation, parseError, parseIdentities } from './responses.ts';

const pollSeconds = 110;
/** The broker may need this much longer than a poll asks for. */
const pollGraceMs = 10_000;
/** A poll that ends sooner was not held. The next one waits, so that a broker which holds no poll is not flooded. */
const heldMs = 5_000;
const afterChangeMs = 100;
const firstContactMs = 3_000;
const minRetryMs = 250;
const maxRetryMs = 30_000;
/** While the broker was never reached, requests of the application wait for it. */
const maxRetryWithoutViewMs = 5_000;

export interface PollOptions {
  broker: BrokerClient;
  store: IdentityStore;
  counts: Counts;
  clock: Clock;
  random: () => number;
  log: Log;
  isValidCa: (pem: string) => boolean;
  signal: AbortSignal;
}

/** What one poll leaves to the next. */
interface Session {
  etag: string | undefined;
  /** `asOf` of the last response: no replica of the broker answers from an older cache. */
  cursor: string | undefined;
  /** The last request succeeded, so the next may be held. */
  connected: boolean;
  consecutiveFailures: number;
}

/** Runs until the signal aborts; never rejects. */
export async function pollIdentities(options: PollOptions): Promise<void> {
  const { clock, signal } = options;
  const session: Session = {
    etag: undefined,
    cursor: undefined,
    connected: false,
    consecutiveFailures: 0,
  };
  while (!signal.aborted) {
    let delayMs: number;
    try {
      delayMs = await poll(options, session);
      contactSucceeded(options, session);
    } catch (error) {
      if (signal.aborted) return;
      delayMs = contactFailed(options, session, error);
    }
    if (delayMs > 0) await sleep(clock, delayMs, signal);
  }
}

/** Sends one request. Resolves with the delay before the next; rejects when the response says nothing about the identities. */
async function poll(options: PollOptions, session: Session): Promise<number> {
  const { store, clock, random, log, isValidCa, broker } = options;
  const wait = session.connected ? Math.round(pollSeconds * (0.9 + 0.2 * random())) : 0;
  const began = clock.now();
  const response = await sendPoll(options, session, wait);
  const held = wait === 0 || clock.now() - began >= heldMs;
  if (response.status === 304 && session.etag !== undefined) {
    store.confirm();
    return held ? 0 : heldMs;
  }
  if (response.status === 200) {
    const reported = parseIdentities(response.body);
    const etag = response.headers.get('etag') ?? undefined;
    const changed = etag === undefined || etag !== session.etag;
    session.cursor = reported.asOf;
    session.etag = etag;
    if (isValidCa(reported.caBundle)) broker.trust(reported.caBundle);
    accept(store, reported, log);
    if (held) return 0;
    return changed ? afterChangeMs : heldMs;
  }
  revoke(store, response, log);
  session.etag = undefined;
  // The broker does not push the end of a revocation to a pod that takes no part.
  return maxRetryMs * (0.5 + 0.5 * random());
}

async function sendPoll(
  { broker, counts, signal }: PollOptions,
  { cursor, etag, connected }: Session,
  wait: number,
): Promise<BrokerResponse> {
  const taken = counts.take();
  try {
    return await broker.call({
      path: identitiesPath,
      query: {
        wait: String(wait),
        ...(cursor === undefined ? {} : { asOf: cursor }),
        ...(taken.text === undefined ? {} : { counts: taken.text }),
      },
      headers: etag === undefined ? {} : { 'if-none-match': etag },
      timeoutMs: connected ? wait * 1000 + pollGraceMs : firstContactMs,
      signal,
    });
  } catch (error) {
    counts.giveBack(taken.counts);
    throw error;
  }
}

function accept(store: IdentityStore, reported: IdentitiesResponse, log: Log): void {
  store.accept(reported);
  const states = reported.identities.map((row) => `${rowKey(row)} ${row.state}`).join(', ');
  log.info('identities of this pod', { identities: states || 'none', excepted: reported.excepted });
}

/** Throws for every error that is not a revocation. */
function revoke(store: IdentityStore, { status, body }: BrokerResponse, log: Log): void {
  const { code, message } = parseError(body);
  if (!isRevocation(status, code)) throw new Error(`HTTP ${status}${code === '' ? '' : ` ${code}: ${message}`}`);
  if (store.view?.revoked?.code !== code) log.warn('the broker revoked the identities of this pod', { code, reason: message });
  store.revoke(code, message);
}

function contactSucceeded({ broker, log }: PollOptions, session: Session): void {
  if (!session.connected) log.info('broker reached', { address: broker.address });
  session.connected = true;
  session.consecutiveFailures = 0;
  broker.contact.succeeded();
}

/** Returns the delay before the next request. */
function contactFailed({ broker, store, random, log }: PollOptions, session: Session, error: unknown): number {
  const reason =
    error instanceof BrokerUnreachedError ? error.message : broker.contact.requestFailed(broker.address, describeFetchError(error));
  store.contactFailed(reason);
  session.connected = false;
  session.consecutiveFailures += 1;
  // One warning for each outage, once every address has failed.
  const level = session.consecutiveFailures === broker.addressCount ? 'warn' : 'debug';
  log[level]('broker not reached', { reason, failures: session.consecutiveFailures });
  broker.switchAddress();
  // The other address is tried at once. Then full jitter spreads the sidecars of a cluster.
  if (session.consecutiveFailures % broker.addressCount !== 0) return 0;
  const round = Math.min(20, session.consecutiveFailures / broker.addressCount);
  const max = store.view === undefined ? maxRetryWithoutViewMs : maxRetryMs;
  return Math.max(minRetryMs, random() * Math.min(max, minRetryMs * 2 ** round));
}
