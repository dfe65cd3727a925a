// Two controllers that write the same objects and the same scale sets would undo each other's work. While another one has the right of way, ours waits.
import { setTimeout as delay } from 'node:timers/promises';
import type { EventRecorder, Regarding } from '../../lib/kube/events.ts';
import type { Logger } from '../../lib/log.ts';
import { onceIn } from '../../lib/once-in.ts';

/** Another controller that does the same work. */
export interface Rival {
  /** What tells of it. */
  regarding: Regarding;
  reason: string;
  /** Who it is, what that means here and what to do. */
  message: string;
}

/** Never throws; `unknown` where it could not be found out whether there is one. */
export type Look = (signal: AbortSignal) => Promise<Rival | 'none' | 'unknown'>;

export interface GiveWayOptions {
  events: EventRecorder;
  log: Logger;
  /** The first that finds a rival decides. */
  looks: readonly Look[];
  pollMs: number;
  /** Begins the work that must not run beside another controller's. */
  start(): { stop(): Promise<void> };
}

const tellMs = 10 * 60_000;

/** Starts the work unless a rival is there, stops it when one comes, goes on when it went. What cannot be found out changes nothing. */
export function giveWay(options: GiveWayOptions): { stop(): Promise<void> } {
  const { events, log, pollMs } = options;
  const stopping = new AbortController();
  let work: { stop(): Promise<void> } | undefined;
  const mayTell = onceIn(tellMs);
  let givingWay = false;

  async function look(): Promise<Rival | 'none' | 'unknown'> {
    let clear = true;
    for (const each of options.looks) {
      const seen = await each(stopping.signal);
      if (typeof seen === 'object') return seen;
      clear &&= seen === 'none';
    }
    return clear ? 'none' : 'unknown';
  }

  function tell({ regarding, reason, message }: Rival): void {
    if (!mayTell(reason)) return;
    log.warn({ reason }, message);
    events.record(regarding, 'Warning', reason, message);
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const seen = await look();
      if (stopping.signal.aborted) break;
      if (typeof seen === 'object') {
        givingWay = true;
        tell(seen);
        await work?.stop();
        work = undefined;
      } else if (seen === 'none' && work === undefined) {
        if (givingWay) log.info('no other controller is in the way any more: going on');
        givingWay = false;
        work = options.start();
      }
      const pauseMs = seen === 'unknown' ? Math.min(pollMs, 1_000) : pollMs;
      await delay(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
    await work?.stop();
  }

  const running = run();
  return {
    async stop() {
      stopping.abort(new Error('stopped'));
      await running;
    },
  };
}
