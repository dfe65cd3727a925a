// Keeps the identity store in step with the broker: one long poll that never gives up (design 5, broker contact).
import type { IdentitiesAnswer } from '../../api/broker.ts';
import { identitiesPath } from '../../api/broker.ts';
import type { Clock } from '../../common/clock.ts';
import type { Log } from '../log.ts';
import { pause } from '../time.ts';
import { isRevoking, parseIdentities, parseRefusal } from './answer.ts';
import type { Broker } from './broker.ts';
import { reasonOf } from './broker.ts';
import type { IdentityStore } from './store.ts';
import { rowKey } from './store.ts';

const pollSeconds = 110;
const graceMs = 10_000;
/** A broker that answers a poll at once again and again is not to be asked in a circle. */
const unheldMs = 5_000;
const afterNewsMs = 100;
const firstContactMs = 3_000;
const leastRetryMs = 250;
const mostRetryMs = 30_000;
/** While there has never been a list, requests of the app wait for one. */
const mostRetryWithoutListMs = 5_000;

export interface PollOptions {
  broker: Broker;
  store: IdentityStore;
  clock: Clock;
  random: () => number;
  log: Log;
  validCa: (pem: string) => boolean;
  signal: AbortSignal;
}

/** Runs until the signal aborts. */
export async function pollIdentities(options: PollOptions): Promise<void> {
  const { broker, store, clock, random, log, signal } = options;
  let etag: string | undefined;
  let asOf: string | undefined;
  let connected = false;
  let failures = 0;

  /** One request; resolves with how long to leave the broker alone after it, rejects when there was no word to trust. */
  const ask = async (): Promise<number> => {
    const wait = connected ? Math.round(pollSeconds * (0.9 + 0.2 * random())) : 0;
    const began = clock.now();
    const answer = await broker.call({
      path: identitiesPath,
      query: { wait: String(wait), ...(asOf === undefined ? {} : { asOf }) },
      headers: etag === undefined ? {} : { 'if-none-match': etag },
      timeoutMs: connected ? wait * 1000 + graceMs : firstContactMs,
      signal,
    });
    const held = wait === 0 || clock.now() - began >= unheldMs;
    if (answer.status === 304 && etag !== undefined) {
      store.confirm();
      return held ? 0 : unheldMs;
    }
    if (answer.status === 200) {
      const news = answer.headers.get('etag') !== etag || etag === undefined;
      accept(parseIdentities(answer.body));
      etag = answer.headers.get('etag') ?? undefined;
      return held ? 0 : news ? afterNewsMs : unheldMs;
    }
    const { code, message } = parseRefusal(answer.body);
    if (!isRevoking(answer.status, code)) throw new Error(`HTTP ${answer.status}${code === '' ? '' : ` ${code}: ${message}`}`);
    etag = undefined;
    if (store.view?.revoked?.code !== code) log.warn('the broker revoked the identities of this pod', { code, reason: message });
    store.revoke(code, message);
    // What was taken away may come back, and nothing pushes that: it is asked for now and then.
    return mostRetryMs * (0.5 + 0.5 * random());
  };

  const accept = (answer: IdentitiesAnswer) => {
    asOf = answer.asOf;
    if (options.validCa(answer.caBundle)) broker.trust(answer.caBundle);
    store.accept(answer);
    const states = answer.identities.map((row) => `${rowKey(row)} ${row.state}`).join(', ');
    log.info('identities of this pod', { identities: states || 'none', excepted: answer.excepted });
  };

  /** How long to wait before the next try, after this many failures. */
  const giveWay = (): number => {
    failures += 1;
    broker.turn();
    // The other address is tried at once; then full jitter, so that a thousand sidecars do not return together.
    if (failures % broker.addresses !== 0) return 0;
    const round = Math.min(20, failures / broker.addresses);
    const most = store.view === undefined ? mostRetryWithoutListMs : mostRetryMs;
    return Math.max(leastRetryMs, random() * Math.min(most, leastRetryMs * 2 ** round));
  };

  while (!signal.aborted) {
    let rest: number;
    try {
      rest = await ask();
      if (!connected) log.info('broker reached', { address: broker.address });
      connected = true;
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      const reason = `${broker.address}: ${reasonOf(error)}`;
      store.fail(reason);
      // An outage is told when it begins.
      log[connected || failures === 0 ? 'warn' : 'debug']('broker not reached', { reason, failures });
      connected = false;
      rest = giveWay();
    }
    if (rest > 0) await pause(clock, rest, { signal });
  }
}
