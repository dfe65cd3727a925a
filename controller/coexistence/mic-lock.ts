// The lock of an aad-pod-identity controller (MIC): an annotation on Endpoints, renewed every few seconds while one leads
// (spec/aad-pod-identity.md 2.11). Pure.
import { isRecord, stringAt } from '../../lib/kube/objects.ts';

/** Upstream's default names; the namespace is not that of its release. */
export const lockPlace = { namespace: 'default', name: 'aad-pod-identity-mic' };
const lockAnnotation = 'control-plane.alpha.kubernetes.io/leader';

export interface Lock {
  holder: string;
  renewTime: string;
}

/** Undefined where nobody has, or ever had, the lock. */
export function lockOf(endpoints: unknown): Lock | undefined {
  const text = stringAt(endpoints, 'metadata', 'annotations', lockAnnotation);
  if (text === undefined) return undefined;
  try {
    const record: unknown = JSON.parse(text);
    const holder = stringAt(record, 'holderIdentity') ?? '';
    return isRecord(record) && holder !== '' ? { holder, renewTime: stringAt(record, 'renewTime') ?? '' } : undefined;
  } catch {
    return undefined;
  }
}

/** What was seen of a lock, and on our own clock when its last renewal was. */
export interface Sighting {
  lock: Lock;
  renewedAt: number;
}

/**
 * A lock that changes is alive, whatever its clock says; only the first sight has to trust the two clocks (ms; `wall` since the epoch), so that
 * the forgotten lock of a MIC that is long gone holds nobody up.
 */
export function sight(before: Sighting | undefined, lock: Lock, monotonic: number, wall: number): Sighting {
  if (before !== undefined)
    return before.lock.holder === lock.holder && before.lock.renewTime === lock.renewTime ? before : { lock, renewedAt: monotonic };
  const age = wall - Date.parse(lock.renewTime);
  return { lock, renewedAt: Number.isNaN(age) ? Number.NEGATIVE_INFINITY : monotonic - Math.max(0, age) };
}

export const isAlive = (sighting: Sighting | undefined, quietMs: number, monotonic: number): boolean =>
  sighting !== undefined && monotonic - sighting.renewedAt < quietMs;
