// Leader election by a Lease, which client-node lacks.
//
// A candidate reads the Lease every `retryPeriodMs`, and writes itself into it where it is free, its own, or not renewed by its holder for
// `leaseDurationMs`. The first write begins a term. A term ends when no renewal succeeded for `renewDeadlineMs`, when another candidate holds
// the Lease, or when the election stops. Errors and conflicts do not end it: whoever labels the Lease causes a conflict too.
//
// There are never two leaders, whatever their clocks say: a leader counts its deadline from before its renewal was sent, others count the longer
// duration from when they saw it (docs/adr/0013-lease-safety.md).
import type { Clock } from '../../common/clock.ts';
import { systemClock } from '../../common/clock.ts';
import { sleep } from '../../common/sleep.ts';
import type { Logger } from '../log.ts';
import { onceIn } from '../once-in.ts';
import type { KubeClient } from './client.ts';
import { isAlreadyExists, isConflict } from './errors.ts';
import { leaseOf } from './lease.ts';
import type { LeaseTerms } from './lease-state.ts';
import { observe, remainingMs, renewed, standby } from './lease-state.ts';

export interface LeaderElectionOptions extends LeaseTerms {
  client: KubeClient;
  log: Logger;
  namespace: string;
  name: string;
  /** Unique among the candidates. */
  identity: string;
  retryPeriodMs: number;
  /**
   * Does the leader's work until the signal aborts, which is the end of the term, and resolves once all of it has ended: only then is the Lease
   * released, and only then does a next term begin.
   */
  onStartedLeading(signal: AbortSignal): Promise<void>;
  clock?: Clock | undefined;
}

export interface LeaderElection {
  readonly leading: boolean;
  /** This replica leads, or has seen another one renew the Lease. A Lease alone may be left from a replica that is gone. */
  readonly known: boolean;
  /** Time in which this replica may still write, in ms; 0 where it does not lead. Exact also while a renewal hangs. */
  remainingMs(): number;
  /** Ends the term and releases the Lease, so that another candidate need not wait for it to run out. */
  stop(): Promise<void>;
}

interface Term {
  ending: AbortController;
  cancelDeadline: () => void;
}

const releaseTimeoutMs = 2_000;

/** Takes part in the election until it is stopped. */
export function startLeaderElection(options: LeaderElectionOptions): LeaderElection {
  const { log, retryPeriodMs, clock = systemClock } = options;
  const lease = leaseOf({ ...options, clock });
  const about = { lease: `${options.namespace}/${options.name}`, identity: options.identity };
  const stopping = new AbortController();
  const isNew = onceIn(60_000, clock);

  let state = standby;
  let term: Term | undefined;
  /** The work of a term. It may go on for a moment after the term, and the work of the next one must not run beside it. */
  let work: Promise<void> | undefined;

  const leftMs = () => (term === undefined ? 0 : remainingMs(state, options, clock.now()));

  function beginTerm(): void {
    log.info(about, 'leading');
    const ending = new AbortController();
    term = { ending, cancelDeadline: () => undefined };
    work = lead(ending.signal).finally(() => {
      work = undefined;
    });
  }

  /** Never rejects. */
  async function lead(signal: AbortSignal): Promise<void> {
    try {
      await options.onStartedLeading(signal);
    } catch (error) {
      log.error({ ...about, error: String(error) }, 'the work of the leader failed');
    }
  }

  function endTerm(reason: string): void {
    if (term === undefined) return;
    log.warn({ ...about, reason }, 'no longer leading');
    term.cancelDeadline();
    term.ending.abort(new Error(`no longer leading: ${reason}`));
    term = undefined;
  }

  function extendTerm(): void {
    if (term === undefined) return;
    term.cancelDeadline();
    term.cancelDeadline = clock.after(leftMs(), () => endTerm(`not renewed for ${options.renewDeadlineMs} ms`));
  }

  /** One attempt to take or to renew the Lease. */
  async function attempt(): Promise<void> {
    const call = { timeoutMs: retryPeriodMs * 2, signal: stopping.signal };
    const record = await lease.read(call);
    const observation = observe(state, record, options, clock.now());
    state = observation.state;
    if (state.renewedAt === undefined) endTerm('another replica holds the Lease');
    if (!observation.mayTake) return;
    const sentAt = clock.now();
    await lease.hold(record, call);
    state = renewed(sentAt);
    if (stopping.signal.aborted) return;
    const isLate = remainingMs(state, options, clock.now()) === 0;
    if (term === undefined && work === undefined && !isLate) beginTerm();
    extendTerm();
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await attempt();
      } catch (error) {
        if (stopping.signal.aborted) return;
        const fields = { ...about, error: String(error) };
        if (isConflict(error) || isAlreadyExists(error)) log.debug(fields, 'the Lease changed meanwhile');
        else if (isNew(String(error))) log.warn(fields, 'cannot reach the Lease');
      }
      // Candidates spread out, a leader keeps its pace.
      await sleep(clock, term === undefined ? retryPeriodMs * (0.5 + Math.random()) : retryPeriodMs, stopping.signal);
    }
  }

  async function release(): Promise<void> {
    try {
      const record = await lease.read({ timeoutMs: releaseTimeoutMs });
      if (record?.holder === options.identity) await lease.release(record, { timeoutMs: releaseTimeoutMs });
    } catch (error) {
      log.warn({ ...about, error: String(error) }, 'could not release the Lease; it runs out by itself');
    }
  }

  const running = run();

  return {
    get leading() {
      return leftMs() > 0;
    },
    get known() {
      return leftMs() > 0 || state.observed?.isRenewed === true;
    },
    remainingMs: leftMs,
    async stop() {
      stopping.abort(new Error('stopped'));
      endTerm('stopped');
      await running;
      await work;
      if (state.renewedAt !== undefined) await release();
    },
  };
}
