// Keeps the identity store in step with the broker: one long poll that never gives up (design 5, broker contact).
import { identitiesPath } from '../../api/broker.ts';
import type { Log } from '../log.ts';
import type { Clock } from '../time.ts';
import { pause } from '../time.ts';
import { isRevoking, parseIdentities, parseRefusal } from './answer.ts';
import type { Broker } from './broker.ts';
import { reasonOf } from './broker.ts';
import type { IdentityStore } from './store.ts';

const pollSeconds = 110;
const graceMs = 10_000;
const leastPollMs = 5_000;
const firstContactMs = 3_000;
const leastRetryMs = 250;
const mostRetryMs = 30_000;

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

  const ask = async () => {
    const wait = connected ? Math.round(pollSeconds * (0.9 + 0.2 * random())) : 0;
    const began = clock.now();
    const answer = await broker.call({
      path: identitiesPath,
      query: { wait: String(wait), ...(asOf === undefined ? {} : { asOf }) },
      headers: etag === undefined ? {} : { 'if-none-match': etag },
      timeoutMs: connected ? wait * 1000 + graceMs : firstContactMs,
      signal,
    });
    if (answer.status === 304 && etag !== undefined) {
      store.confirm();
      // A broker that does not hold the poll must not be asked in a circle.
      if (connected && clock.now() - began < leastPollMs) await pause(clock, leastPollMs, { signal });
      return;
    }
    if (answer.status === 200) {
      const parsed = parseIdentities(answer.body);
      etag = answer.headers.get('etag') ?? undefined;
      asOf = parsed.asOf;
      if (options.validCa(parsed.caBundle)) broker.trust(parsed.caBundle);
      store.accept(parsed);
      const states = parsed.identities.map((row) => `${row.namespace}/${row.name} ${row.state}`).join(', ');
      return log.info('identities of this pod', { identities: states || 'none', excepted: parsed.excepted });
    }
    const refusal = parseRefusal(answer.body);
    if (isRevoking(answer.status, refusal.code)) {
      etag = undefined;
      if (store.view?.revoked !== refusal.code) log.warn('the broker revoked the identities of this pod', { code: refusal.code });
      store.revoke(refusal.code);
      // The label or the annotation may come back; nothing pushes that, so it is asked for now and then.
      return pause(clock, mostRetryMs * (0.5 + 0.5 * random()), { signal });
    }
    throw new Error(`HTTP ${answer.status}${refusal.code === '' ? '' : ` ${refusal.code}: ${refusal.message}`}`);
  };

  while (!signal.aborted) {
    try {
      await ask();
      if (!connected) log.info('broker reached', { address: broker.address });
      connected = true;
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      const reason = `${broker.address}: ${reasonOf(error)}`;
      store.fail(reason);
      // Every outage is told once when it begins; a long one again each time the delay has doubled to its limit.
      if (connected || failures === 0) log.warn('broker not reached', { reason });
      else log.debug('broker not reached', { reason, failures });
      connected = false;
      failures += 1;
      broker.turn();
      // The other address is tried at once; then full jitter, so that a thousand sidecars do not return together.
      const round = Math.floor(failures / broker.addresses);
      const delay =
        failures % broker.addresses === 0 ? Math.max(leastRetryMs, random() * Math.min(mostRetryMs, leastRetryMs * 2 ** round)) : 0;
      await pause(clock, delay, { signal });
    }
  }
}
