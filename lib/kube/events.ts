import { eventSource } from '../../api/names.ts';
import type { Logger } from '../log.ts';
import type { KubeClient } from './client.ts';
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
  /** Never throws and never waits: an Event tells a person something, it decides nothing. */
  record(regarding: Regarding, type: 'Normal' | 'Warning', reason: string, message: string): void;
  /** Resolves when what was recorded has been sent or dropped. */
  flush(): Promise<void>;
}

const repeatMs = 5 * 60_000;
const remembered = 4096;

/** The same Event about the same object is sent once in 5 minutes. */
export function createEventRecorder(options: { client: KubeClient; log: Logger; instance: string; now?: () => Date }): EventRecorder {
  const now = options.now ?? (() => new Date());
  const sent = new Map<string, number>();
  const sending = new Set<Promise<void>>();
  let serial = 0;

  async function send(regarding: Regarding, type: string, reason: string, message: string): Promise<void> {
    serial += 1;
    const time = now();
    const body = {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: {
        name: `${regarding.name.slice(0, 200)}.${time.getTime().toString(16)}${serial.toString(16)}`,
        namespace: regarding.namespace,
      },
      eventTime: time.toISOString().replace('Z', '000Z'),
      reportingController: eventSource,
      reportingInstance: options.instance.slice(0, 128),
      action: 'Assign',
      type,
      reason,
      note: message.slice(0, 1024),
      regarding,
    };
    try {
      await options.client.call('POST', resourcePath(events, { namespace: regarding.namespace }), { body, timeoutMs: 10_000 });
    } catch (error) {
      options.log.warn(
        { reason, regarding: `${regarding.kind} ${regarding.namespace}/${regarding.name}`, error: String(error) },
        'Event not written',
      );
    }
  }

  return {
    record(regarding, type, reason, message) {
      const key = [regarding.kind, regarding.namespace, regarding.name, regarding.uid, type, reason, message].join('\n');
      const time = now().getTime();
      const last = sent.get(key);
      if (last !== undefined && time - last < repeatMs) return;
      sent.delete(key);
      sent.set(key, time);
      // Insertion order is age: the oldest is forgotten first.
      if (sent.size > remembered) for (const oldest of sent.keys()) if (sent.delete(oldest)) break;
      const sends = send(regarding, type, reason, message);
      sending.add(sends);
      void sends.finally(() => sending.delete(sends));
    },
    async flush() {
      await Promise.all(sending);
    },
  };
}
