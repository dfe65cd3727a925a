// The contract of a reconciler, as in controller-runtime (https://pkg.go.dev/sigs.k8s.io/controller-runtime/pkg/reconcile).
//
// - A key names what is reconciled: `namespace/name` of a pod, the resource id of a scale set. It says nothing about what changed.
// - `reconcile` is level-triggered: it reads the whole desired and observed state (caches, stored records, Azure), compares, and acts on the difference.
// - It is idempotent. It may be called at any time, also when nothing changed, and is never called twice at the same time for one key.
// - A key that is added while it is reconciled is reconciled once more afterwards, so no change is lost.
// - `requeueAfterMs`: reconcile again after so many milliseconds even if nothing changes. An earlier date that is set already stays.
// - `done`: nothing is left to do for this key; the runner drops its date. A later change begins anew.
// - A thrown error requeues the key with exponential back-off. The runner logs it and counts it; other keys go on.
// - `context.signal` aborts when the runner stops. A reconciler passes it to every call that can wait.

export interface ReconcileContext {
  /** Aborts when the runner stops. */
  readonly signal: AbortSignal;
}

export interface ReconcileResult {
  requeueAfterMs?: number;
  done?: boolean;
}

export type Reconcile = (key: string, context: ReconcileContext) => Promise<ReconcileResult>;
