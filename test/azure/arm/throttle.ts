// Request budgets, docs/reference/arm.md#throttling: one bucket per resource and one per subscription for each kind of call, and one of ARM's own per caller.
import type { Bucket, Change, State } from '../state/model.ts';
import type { Target } from './target.ts';

type Policy = { readonly name: string; readonly perMinute: number; readonly burst: number };
type Draw = { readonly key: string; readonly policy: Policy; readonly header: 'resource' | 'reads' | 'writes' | 'deletes' };

/** Calls per minute and burst: [resource, subscription]. */
const policies = {
  updateSet: ['UpdateVMScaleSet', [4, 12], [500, 1500]],
  getSet: ['LowCostGetVMScaleSet', [12, 36], [800, 2400]],
  listSets: ['HighCostGetVMScaleSet', [10, 30], [360, 1080]],
  updateVm: ['UpdateVM', [4, 12], [500, 1500]],
  getVm: ['LowCostGetVM', [12, 36], [8000, 24000]],
  listVms: ['ListVM', null, [300, 900]],
  getOperation: ['GetOperation', [15, 45], [5000, 15000]],
  // 0.25 writes a second and identity.
  writeCredential: ['WriteFederatedCredential', [15, 5], [500, 1500]],
} as const;

function policyOf(target: Target, method: string): keyof typeof policies | null {
  const reads = method === 'GET' || method === 'HEAD';
  if (target.kind === 'operation') return 'getOperation';
  if (target.kind === 'credential') return reads ? null : 'writeCredential';
  if (target.kind === 'instance') return target.instance === null ? 'listSets' : 'getSet';
  if (target.kind === 'computeList') return target.of === 'scaleSet' ? 'listSets' : 'listVms';
  if (target.kind !== 'compute') return null;
  if (target.of === 'scaleSet') return reads ? 'getSet' : 'updateSet';
  return reads ? 'getVm' : 'updateVm';
}

/** ARM's own budget: per subscription and principal, refilled every second. */
const frontDoor = {
  reads: { name: 'reads', perMinute: 25 * 60, burst: 250 },
  writes: { name: 'writes', perMinute: 10 * 60, burst: 200 },
  deletes: { name: 'deletes', perMinute: 10 * 60, burst: 200 },
} as const;

function drawsOf(state: State, target: Target, method: string, caller: string): Draw[] {
  if (target.kind === 'endpoints') return [];
  const { subscription } = target;
  const door = method === 'DELETE' ? 'deletes' : method === 'GET' || method === 'HEAD' ? 'reads' : 'writes';
  const draws: Draw[] = [{ key: `door ${door} ${subscription} ${caller}`.toLowerCase(), policy: frontDoor[door], header: door }];
  const kind = policyOf(target, method);
  if (kind === null) return draws;
  const [name, perResource, perSubscription] = policies[kind];
  const resource =
    target.kind === 'operation'
      ? state.operations.get(target.id.toLowerCase())?.resource
      : target.kind === 'compute'
        ? target.id
        : target.kind === 'instance'
          ? target.set
          : target.kind === 'credential'
            ? target.identity
            : undefined;
  if (perResource !== null && resource !== undefined) {
    const policy = { name: `${name}Resource`, perMinute: perResource[0], burst: perResource[1] };
    draws.push({ key: `${policy.name} ${resource}`.toLowerCase(), policy, header: 'resource' });
  }
  const policy = { name: `${name}Subscription`, perMinute: perSubscription[0], burst: perSubscription[1] };
  draws.push({ key: `${policy.name} ${subscription}`.toLowerCase(), policy, header: 'resource' });
  return draws;
}

export type Charge = {
  readonly headers: Readonly<Record<string, string>>;
  /** Seconds until another call has a chance; null where this one is let through. */
  readonly retryAfter: number | null;
  readonly changes: readonly Change[];
};

/** Takes this call out of its buckets. An early retry is refused and starts its wait again. */
export function charge(state: State, target: Target, method: string, caller: string, now: number): Charge {
  const enforced = state.config.settings.limits.arm;
  const drawn = drawsOf(state, target, method, caller).map((draw) => {
    const { policy, key } = draw;
    const before: Bucket = state.buckets.get(key) ?? { tokens: policy.burst, at: now, blockedUntil: 0 };
    const refill = (Math.max(0, now - before.at) / 60_000) * policy.perMinute;
    const tokens = Math.min(policy.burst, before.tokens + refill);
    const refused = enforced && (tokens < 1 || now < before.blockedUntil);
    const wait = Math.max(1, Math.ceil(60 / policy.perMinute));
    const after: Bucket = refused
      ? { tokens, at: now, blockedUntil: now + wait * 1000 }
      : { tokens: Math.max(0, tokens - 1), at: now, blockedUntil: 0 };
    return { draw, after, wait: refused ? wait : null };
  });
  const waits = drawn.flatMap(({ wait }) => (wait === null ? [] : [wait]));
  const refused = waits.length > 0;
  const headers: Record<string, string> = {};
  const remaining: string[] = [];
  for (const { draw, after } of drawn) {
    const left = Math.floor(after.tokens);
    const provider = target.kind === 'credential' ? 'Microsoft.ManagedIdentity' : 'Microsoft.Compute';
    if (draw.header === 'resource') remaining.push(`${provider}/${draw.policy.name};${left}`);
    else headers[`x-ms-ratelimit-remaining-subscription-${draw.header}`] = String(left);
  }
  if (remaining.length > 0) headers['x-ms-ratelimit-remaining-resource'] = remaining.join(',');
  if (!refused) headers['x-ms-request-charge'] = '1';
  // A refused call costs nothing in the buckets that would have let it through.
  const kept = drawn.filter(({ wait }) => !refused || wait !== null);
  const changes = kept.map(({ draw, after }): Change => ({ table: 'buckets', key: draw.key, value: after }));
  // Callers can invent subscriptions, so the number of buckets is bounded.
  const surplus = state.buckets.size + changes.length - 10_000;
  const oldest = surplus > 0 ? [...state.buckets.keys()].slice(0, surplus) : [];
  changes.unshift(...oldest.map((key): Change => ({ table: 'buckets', key, value: null })));
  return { headers, retryAfter: refused ? Math.max(...waits) : null, changes };
}
