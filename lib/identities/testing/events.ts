import type { EventRecorder } from '../../kube/events.ts';
import type { EventReason } from '../reasons.ts';

export interface RecordedEvent {
  kind: string;
  name: string;
  type: string;
  reason: string;
  message: string;
}

/** Keeps every Event that is recorded, also repeated ones. */
export function fakeEvents(): { events: EventRecorder<EventReason>; list: RecordedEvent[] } {
  const list: RecordedEvent[] = [];
  return {
    list,
    events: {
      record: ({ kind, name }, type, reason, message) => list.push({ kind, name, type, reason, message }),
      flush: async () => undefined,
    },
  };
}
