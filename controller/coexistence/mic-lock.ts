// The leader lock of an aad-pod-identity controller (MIC): an annotation on Endpoints that the leader renews every few seconds
// (docs/reference/aad-pod-identity.md). Pure.
import { isRecord, stringAt } from '../../lib/kube/objects.ts';

/** The defaults of aad-pod-identity. The namespace is not the one of its release. */
export const lockEndpoints = { namespace: 'default', name: 'aad-pod-identity-mic' };
const lockAnnotation = 'control-plane.alpha.kubernetes.io/leader';

export interface Lock {
  holder: string;
  renewTime: string;
}

/** Undefined where nobody holds the lock or ever held it. */
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

export interface ObservedLock {
  lock: Lock;
  /** Monotonic time of the last renewal, ms. */
  renewedAt: number;
}

/**
 * A lock that changes between two observations was renewed in between, whatever its own time says. Only the first observation compares the clock of
 * the holder with ours, so that the old lock of a MIC that is gone counts as not held from the start. `now` is monotonic, `wall` since 1970, both ms.
 */
export function observeLock(before: ObservedLock | undefined, lock: Lock, now: number, wall: number): ObservedLock {
  if (before !== undefined)
    return before.lock.holder === lock.holder && before.lock.renewTime === lock.renewTime ? before : { lock, renewedAt: now };
  const age = wall - Date.parse(lock.renewTime);
  return { lock, renewedAt: Number.isNaN(age) ? Number.NEGATIVE_INFINITY : now - Math.max(0, age) };
}

/** True for a lock that was renewed within the last `quietMs`. */
export const isHeld = (observed: ObservedLock | undefined, quietMs: number, now: number): observed is ObservedLock =>
  observed !== undefined && now - observed.renewedAt < quietMs;
