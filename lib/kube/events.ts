import { eventSource } from '../../api/names.ts';
import type { Logger } from '../log.ts';
import type { KubeClient } from './client.ts';
import { microTime } from './micro-time.ts';
import { stringAt } from './objects.ts';
import { events, resourcePath } from './resources.ts';

/** The object that an Event is about. */
export interface Regarding {
  apiVersion: string;
  kind: string;
  namespace: string;
  name: string;
  uid?: string | undefined;
}

export interface EventRecorder {
  /**
   * Never throws and never waits: an Event tells a person something, it decides nothing. `same` stands for the message where that has changing
   * parts (a time, a request id): two Events that agree in it are the same.
   */
  record(regarding: Regarding, type: 'Normal' | 'Warning', reason: string, message: string, same?: string): void;
  /** Resolves when what was recorded has been sent or dropped, which takes no more than two seconds. */
  flush(): Promise<void>;
}

const repeatMs = 5 * 60_000;
const remembered = 4096;
/** As kubectl's own library limits them: so many about one object at once, and one more in 5 minutes. */
const burst = 25;
const refillMs = 5 * 60_000;
/** A hundred nodes' worth of pods; beyond it the API server has more important things to do. */
const longestQueue = 4096;
const flushMs = 2_000;

/** The same Event about the same object is sent once in 5 minutes. One is sent at a time, so that they never crowd out the calls that matter. */
export function createEventRecorder(options: { client: KubeClient; log: Logger; instance: string; now?: () => Date }): EventRecorder {
  const now = options.now ?? (() => new Date());
  const sent = agedMap<number>(remembered);
  const allowances = agedMap<{ left: number; at: number }>(remembered);
  const queue: Record<string, unknown>[] = [];
  const stopping = new AbortController();
  let sending: Promise<void> | undefined;
  let dropped = 0;
  let serial = 0;

  function mayTell(about: string, time: number): boolean {
    const known = allowances.get(about) ?? { left: burst, at: time };
    const left = Math.min(burst, known.left + (time - known.at) / refillMs);
    allowances.set(about, { left: left < 1 ? left : left - 1, at: time });
    return left >= 1;
  }

  async function send(): Promise<void> {
    for (let body = queue.shift(); body !== undefined; body = queue.shift()) {
      const namespace = stringAt(body, 'metadata', 'namespace') ?? '';
      try {
        const call = { body, timeoutMs: 60_000, signal: stopping.signal };
        await options.client.call('POST', resourcePath(events, { namespace }), call);
      } catch (error) {
        if (stopping.signal.aborted) return;
        const regarding = `${stringAt(body, 'regarding', 'kind')} ${namespace}/${stringAt(body, 'regarding', 'name')}`;
        options.log.warn({ reason: body.reason, regarding, error: String(error) }, 'Event not written');
      }
    }
    if (dropped > 0) options.log.warn({ dropped }, 'Events dropped: too many at once');
    dropped = 0;
    sending = undefined;
  }

  return {
    record(regarding, type, reason, message, same = message) {
      const about = [regarding.kind, regarding.namespace, regarding.name, regarding.uid].join('\n');
      const key = [about, type, reason, same].join('\n');
      const time = now();
      const last = sent.get(key);
      if (last !== undefined && time.getTime() - last < repeatMs) return;
      if (!mayTell(about, time.getTime())) return;
      sent.set(key, time.getTime());
      if (queue.length >= longestQueue || stopping.signal.aborted) {
        dropped += 1;
        return;
      }
      serial += 1;
      queue.push({
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: {
          name: `${regarding.name.slice(0, 200)}.${time.getTime().toString(16)}${serial.toString(16)}`,
          namespace: regarding.namespace,
        },
        eventTime: microTime(time),
        reportingController: eventSource,
        reportingInstance: options.instance.slice(0, 128),
        action: 'Assign',
        type,
        reason,
        note: message.slice(0, 1024),
        regarding,
      });
      sending ??= send();
    },
    async flush() {
      const timer = setTimeout(() => stopping.abort(new Error('stopped')), flushMs);
      await sending;
      clearTimeout(timer);
    },
  };
}

/** A map that forgets what was set longest ago. */
function agedMap<T>(limit: number) {
  const entries = new Map<string, T>();
  return {
    get: (key: string) => entries.get(key),
    set(key: string, value: T): void {
      entries.delete(key);
      entries.set(key, value);
      if (entries.size > limit) for (const oldest of entries.keys()) if (entries.delete(oldest)) break;
    },
  };
}
