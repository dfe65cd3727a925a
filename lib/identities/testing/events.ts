import type { EventRecorder } from '../../kube/events.ts';

export interface HeardEvent {
  kind: string;
  name: string;
  type: string;
  reason: string;
  message: string;
}

/** Keeps every Event that is recorded, also repeated ones. */
export function heardEvents(): { events: EventRecorder; list: HeardEvent[] } {
  const list: HeardEvent[] = [];
  return {
    list,
    events: {
      record: ({ kind, name }, type, reason, message) => list.push({ kind, name, type, reason, message }),
      flush: async () => undefined,
    },
  };
}
