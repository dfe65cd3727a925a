import { apiGroup } from '../../api/names.ts';
import type { Clock } from '../../common/clock.ts';
import { systemClock } from '../../common/clock.ts';
import { createFairQueue } from '../fair-queue.ts';
import type { Logger } from '../log.ts';
import { onceIn } from '../once-in.ts';
import { limitEach } from '../rate-limiters.ts';
import type { KubeClient } from './client.ts';
import { isNamespaceTerminating } from './errors.ts';
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

/** `Reason`: the reasons that the owner of the Events knows. */
export interface EventRecorder<Reason extends string = string> {
  /**
   * Never throws and never waits: an Event informs a person and decides nothing. `same` stands for the message where that has changing parts
   * (a time, a request id): two Events that agree in it are the same.
   */
  record(regarding: Regarding, type: 'Normal' | 'Warning', reason: Reason, message: string, same?: string): void;
  /** Resolves when what was recorded has been sent or dropped, which takes no more than two seconds. */
  flush(): Promise<void>;
}

const repeatMs = 5 * 60_000;
/** The limits of client-go's event broadcaster: so many about one object at once, and one more in 5 minutes. */
const perObject = { burst: 25, perSecond: 1 / 300 };
/** Events and objects that the limits remember. */
const remembered = 4096;
/** Beyond the Events of a hundred nodes' pods the API server has more important things to do. */
const longestQueue = 4096;
const flushMs = 2_000;

/**
 * The same Event about the same object is sent once in 5 minutes. One is sent at a time, so that Events never crowd out other calls. Namespaces take
 * turns, so that many Events of one neither delay nor drop those of another.
 */
export function createEventRecorder(options: {
  client: KubeClient;
  log: Logger;
  instance: string;
  clock?: Clock | undefined;
}): EventRecorder {
  const { client, log, clock = systemClock } = options;
  const isNew = onceIn(repeatMs, clock, remembered);
  const isWithinLimit = limitEach({ ...perObject, keys: remembered, clock });
  const queue = createFairQueue<Record<string, unknown>>(longestQueue);
  const stopping = new AbortController();
  let sending: Promise<void> | undefined;
  let dropped = 0;
  let serial = 0;

  async function send(): Promise<void> {
    for (let body = queue.shift(); body !== undefined; body = queue.shift()) {
      const namespace = stringAt(body, 'metadata', 'namespace') ?? '';
      try {
        await client.call('POST', resourcePath(events, { namespace }), { body, timeoutMs: 60_000, signal: stopping.signal });
      } catch (error) {
        if (stopping.signal.aborted) return;
        const regarding = `${stringAt(body, 'regarding', 'kind')} ${namespace}/${stringAt(body, 'regarding', 'name')}`;
        const fields = { reason: body.reason, regarding, error: String(error) };
        if (isNamespaceTerminating(error)) log.debug(fields, 'Event not written');
        else log.warn(fields, 'Event not written');
      }
    }
    if (dropped > 0) log.warn({ dropped }, 'Events dropped: too many at once');
    dropped = 0;
    sending = undefined;
  }

  return {
    record(regarding, type, reason, message, same = message) {
      const object = [regarding.kind, regarding.namespace, regarding.name, regarding.uid].join('\n');
      if (!isNew([object, type, reason, same].join('\n')) || !isWithinLimit(object)) return;
      if (stopping.signal.aborted) return;
      serial += 1;
      const wall = clock.wall();
      const displaced = queue.push(regarding.namespace, {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: {
          name: eventName(regarding, `${wall.toString(16)}${serial.toString(16)}`),
          namespace: regarding.namespace,
        },
        eventTime: microTime(new Date(wall)),
        reportingController: apiGroup,
        reportingInstance: options.instance.slice(0, 128),
        action: 'Assign',
        type,
        reason,
        note: message.slice(0, 1024),
        regarding,
      });
      if (displaced !== undefined) dropped += 1;
      sending ??= send();
    },
    async flush() {
      const cancel = clock.after(flushMs, () => stopping.abort(new Error('stopped')));
      await sending;
      cancel();
    },
  };
}

/** RFC 1123 subdomain, the form that the API server demands of the name of an Event. */
const subdomain = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;

/** The name of the object and a unique suffix; the kind in place of a name that an Event cannot have. */
export function eventName({ kind, name }: Pick<Regarding, 'kind' | 'name'>, suffix: string): string {
  // A cut name may end in a dot or a hyphen.
  const start = name.slice(0, 200).replace(/[.-]+$/, '');
  return `${subdomain.test(start) ? start : kind.toLowerCase()}.${suffix}`;
}
