// What the unit tests share: a clock that moves only when told, rows, and a log that is kept.
import type { IdentitiesAnswer, IdentityRow } from '../api/broker.ts';
import type { Log } from './log.ts';
import type { Clock } from './time.ts';

export interface FakeClock extends Clock {
  /** Moves both times; whatever becomes due runs in order, with everything it sets off. */
  advance(ms: number): Promise<void>;
  /** Moves wall time alone, as a corrected clock does. */
  jump(ms: number): void;
  readonly timers: number;
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

export function createFakeClock(start = Date.UTC(2026, 0, 1)): FakeClock {
  let now = 1000;
  let offset = start - now;
  const timers = new Set<{ at: number; call: () => void }>();
  return {
    wall: () => now + offset,
    now: () => now,
    after(ms, call) {
      const timer = { at: now + ms, call };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    async advance(ms) {
      const end = now + ms;
      for (;;) {
        await settle();
        const next = [...timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        timers.delete(next);
        now = Math.max(now, next.at);
        next.call();
      }
      now = end;
      await settle();
    },
    jump(ms) {
      offset += ms;
    },
    get timers() {
      return timers.size;
    },
  };
}

export function row(name: string, changes: Partial<IdentityRow> = {}): IdentityRow {
  return {
    name,
    namespace: 'team',
    binding: `team/${name}-binding`,
    type: 0,
    clientID: `client-of-${name}`,
    resourceID: `/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`,
    objectID: `object-of-${name}`,
    state: 'Assigned',
    assignedAt: '2025-12-01T00:00:00Z',
    ...changes,
  };
}

export function identities(rows: IdentityRow[], changes: Partial<IdentitiesAnswer> = {}): IdentitiesAnswer {
  return {
    pod: { name: 'app', namespace: 'team', uid: 'uid-1' },
    excepted: false,
    asOf: '1',
    caBundle: 'ca',
    identities: rows,
    ...changes,
  };
}

export function createTestLog(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const at = (level: string) => (message: string, fields?: object) => {
    lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`);
  };
  return { log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }, lines };
}
