// Leader election by a Lease, which client-node lacks. The safety rule: a leader counts its time from before its renewal was sent, and stops
// writing `renewMs` after that; others wait `durationMs` from when they saw the last renewal. So there are never two, whatever the clocks say.
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../log.ts';
import { onceIn } from '../once-in.ts';
import type { KubeClient } from './client.ts';
import { mergePatch } from './client.ts';
import { isAlreadyExists, isConflict, isNotFound } from './errors.ts';
import { microTime } from './micro-time.ts';
import { at, metadataOf, stringAt } from './objects.ts';
import { leases, resourcePath } from './resources.ts';

export interface LeaseOptions {
  client: KubeClient;
  log: Logger;
  namespace: string;
  name: string;
  /** Unique among the candidates. */
  identity: string;
  durationMs: number;
  renewMs: number;
  retryMs: number;
  /** Does the leader's work until the signal aborts, and resolves once all of it has ended: only then is the Lease given back or taken anew. */
  onLead(signal: AbortSignal): Promise<void>;
  monotonic?: () => number;
  wallClock?: () => Date;
}

export interface Leadership {
  readonly leading: boolean;
  /** Time left in which this replica may still write, in ms; 0 where it does not lead. */
  remainingMs(): number;
  /** Gives the Lease back, so that another candidate need not wait for it to run out. */
  stop(): Promise<void>;
}

interface Seen {
  holder: string;
  transitions: number;
  resourceVersion: string;
  /** `holder`, renewal and version together: any change restarts the wait. */
  fingerprint: string;
}

export function campaign(options: LeaseOptions): Leadership {
  const { client, log } = options;
  const monotonic = options.monotonic ?? (() => performance.now());
  const wallClock = options.wallClock ?? (() => new Date());
  const object = resourcePath(leases, { namespace: options.namespace, name: options.name });
  const collection = resourcePath(leases, { namespace: options.namespace });
  const stopping = new AbortController();

  let reign: AbortController | undefined;
  let work: Promise<void> = Promise.resolve();
  /** Work of an earlier reign may linger for a moment: it must not run beside that of the next. */
  let working = false;
  /** When the last successful renewal was sent. */
  let renewedAt = 0;
  let observed: { fingerprint: string; at: number } | undefined;
  const mayTell = onceIn(60_000);

  const remainingMs = () => (reign === undefined ? 0 : Math.max(0, renewedAt + options.renewMs - monotonic()));

  function body(seen: Seen | undefined, holder: string): unknown {
    const takesOver = seen === undefined || seen.holder !== holder;
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name: options.name,
        namespace: options.namespace,
        ...(seen === undefined ? {} : { resourceVersion: seen.resourceVersion }),
      },
      spec: {
        holderIdentity: holder,
        leaseDurationSeconds: Math.max(1, Math.ceil(options.durationMs / 1000)),
        renewTime: microTime(wallClock()),
        ...(takesOver ? { acquireTime: microTime(wallClock()) } : {}),
        leaseTransitions: (seen?.transitions ?? -1) + (takesOver ? 1 : 0),
      },
    };
  }

  async function read(): Promise<Seen | undefined> {
    try {
      const raw = await client.call('GET', object, { unpaced: true, timeoutMs: options.retryMs * 2, signal: stopping.signal });
      const holder = stringAt(raw, 'spec', 'holderIdentity') ?? '';
      const transitions = at(raw, 'spec', 'leaseTransitions');
      const resourceVersion = metadataOf(raw).resourceVersion ?? '';
      return {
        holder,
        transitions: typeof transitions === 'number' ? transitions : 0,
        resourceVersion,
        fingerprint: `${holder} ${resourceVersion}`,
      };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** One attempt to take or keep the Lease. */
  async function attempt(): Promise<boolean> {
    const seen = await read();
    if (seen !== undefined && seen.holder !== '' && seen.holder !== options.identity) {
      if (observed?.fingerprint !== seen.fingerprint) observed = { fingerprint: seen.fingerprint, at: monotonic() };
      if (monotonic() - observed.at < options.durationMs) return false;
    }
    const sentAt = monotonic();
    try {
      const call = { body: body(seen, options.identity), unpaced: true, timeoutMs: options.retryMs * 2, signal: stopping.signal };
      if (seen === undefined) await client.call('POST', collection, call);
      else await client.call('PUT', object, call);
    } catch (error) {
      if (isConflict(error) || isAlreadyExists(error)) return false;
      throw error;
    }
    renewedAt = sentAt;
    return true;
  }

  function begin(): void {
    reign = new AbortController();
    log.info({ lease: options.name, identity: options.identity }, 'leading');
    working = true;
    work = options
      .onLead(reign.signal)
      .catch((error: unknown) => log.error({ error: String(error) }, 'the work of the leader ended with an error'))
      .finally(() => {
        working = false;
      });
  }

  function end(why: string): void {
    if (reign === undefined) return;
    log.warn({ lease: options.name, identity: options.identity, why }, 'no longer leading');
    reign.abort(new Error('no longer leading'));
    reign = undefined;
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        if (await attempt()) {
          if (reign === undefined && !working) begin();
        } else end('another replica took the Lease');
      } catch (error) {
        if (stopping.signal.aborted) return;
        if (mayTell(String(error)))
          log.warn({ lease: `${options.namespace}/${options.name}`, error: String(error) }, 'cannot reach the Lease');
      }
      // The end is told between attempts, so a hanging call may delay it; `remainingMs` is exact all the while, and writers ask that.
      const pause = reign === undefined ? options.retryMs * (0.5 + Math.random()) : Math.min(options.retryMs, remainingMs());
      await delay(pause, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (reign !== undefined && remainingMs() === 0) end(`not renewed for ${options.renewMs} ms`);
    }
  }

  const running = run();

  return {
    get leading() {
      return remainingMs() > 0;
    },
    remainingMs,
    async stop() {
      const held = reign !== undefined;
      stopping.abort(new Error('stopped'));
      end('stopped');
      await running;
      await work;
      if (held) await release();
    },
  };

  async function release(): Promise<void> {
    try {
      const raw = await client.call('GET', object, { unpaced: true, timeoutMs: 2_000 });
      if (stringAt(raw, 'spec', 'holderIdentity') !== options.identity) return;
      const resourceVersion = metadataOf(raw).resourceVersion;
      const spec = { holderIdentity: '', leaseDurationSeconds: 1 };
      await client.call('PATCH', object, {
        contentType: mergePatch,
        body: { metadata: { resourceVersion }, spec },
        unpaced: true,
        timeoutMs: 2_000,
      });
    } catch (error) {
      log.warn({ lease: options.name, error: String(error) }, 'could not release the Lease; it runs out by itself');
    }
  }
}
