// Two controllers that write the same objects and the same scale sets undo each other's work. Ours writes only while it is the only one.
import type { Clock } from '../../common/clock.ts';
import { sleep } from '../../common/sleep.ts';
import type { ConflictReason } from '../../lib/identities/reasons.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';
import type { Logger } from '../../lib/log.ts';
import { onceIn } from '../../lib/once-in.ts';
import type { Conflict, ConflictDetector } from './conflict.ts';

export interface ExclusiveOptions {
  events: EventRecorder<ConflictReason>;
  log: Logger;
  clock: Clock;
  /** Asked in order until one finds a conflict. */
  detectors: readonly ConflictDetector[];
  pollMs: number;
  /** Starts the work that must not run beside another controller. */
  start(): { stop(): Promise<void> };
}

const reportMs = 10 * 60_000;
/** Pause after an answer that is unknown, at most. */
const unknownPollMs = 1_000;

/** Starts the work once there is no conflict, and stops it while there is one. An unknown answer neither starts nor stops it. */
export interface Exclusive {
  /** What keeps the work from running now. */
  conflict(): Conflict | undefined;
  stop(): Promise<void>;
}

export function runExclusively(options: ExclusiveOptions): Exclusive {
  const { events, log, clock, detectors, pollMs } = options;
  const stopping = new AbortController();
  const isDue = onceIn(reportMs, clock);
  let work: { stop(): Promise<void> } | undefined;
  let conflict: Conflict | undefined;
  let conflicts = 0;

  /** Also when a conflict comes again within the interval: each time the work stops. */
  function report({ regarding, reason, message }: Conflict): void {
    const begins = conflict?.reason !== reason;
    if (!isDue(reason) && !begins) return;
    if (begins) conflicts += 1;
    log.warn({ reason, conflict: message }, 'another controller does the same work: waiting until it is gone');
    // The number: the recorder drops what it takes for the Event of the conflict before.
    events.record(regarding, 'Warning', reason, message, `${message} ${conflicts}`);
  }

  async function check(): Promise<Conflict | 'none' | 'unknown'> {
    const found = await detect(detectors, stopping.signal);
    if (stopping.signal.aborted || found === 'unknown') return 'unknown';
    if (found === 'none') {
      if (conflict !== undefined) log.info({ reason: conflict.reason }, 'the other controller is gone');
      conflict = undefined;
      work ??= options.start();
    } else {
      report(found);
      conflict = found;
      await work?.stop();
      work = undefined;
    }
    return found;
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const found = await check();
      await sleep(clock, found === 'unknown' ? Math.min(pollMs, unknownPollMs) : pollMs, stopping.signal);
    }
    await work?.stop();
  }

  const running = run();
  return {
    conflict: () => conflict,
    async stop() {
      stopping.abort(new Error('stopped'));
      await running;
    },
  };
}

/** The first conflict that a detector finds; `none` only where all detectors say so. */
async function detect(detectors: readonly ConflictDetector[], signal: AbortSignal): Promise<Conflict | 'none' | 'unknown'> {
  let result: 'none' | 'unknown' = 'none';
  for (const detector of detectors) {
    const found = await detector(signal);
    if (typeof found === 'object') return found;
    if (found === 'unknown') result = 'unknown';
  }
  return result;
}
