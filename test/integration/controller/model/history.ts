// Random histories of commands: what users, Azure and failures do to the system. A seed always gives the same history.
import fc from 'fast-check';

/**
 * Pods, bindings and identities are named `namespace/name`. The names of one namespace occur in the others, too. `hostile` brings identities that
 * make writes fail; whatever it does, the other two get what they get without it.
 */
export const namespaces = ['default', 'team', 'hostile'] as const;
export const podKeys = ['default/p0', 'default/p1', 'default/p2', 'default/p3', 'team/p0', 'team/p1', 'hostile/p0'] as const;
export const nodeNames = ['set-a-0', 'set-a-1', 'set-b-0', 'machine', 'flex-vm'] as const;
/** What carries identities: two Uniform sets, a VM of its own, a VM of a Flexible set. */
export const scopeNames = ['set-a', 'set-b', 'machine', 'flex-vm'] as const;
const selectors = ['s0', 's1', 's2'] as const;
const honestIdentityKeys = ['default/i0', 'default/i1', 'default/i2', 'default/i3', 'team/i0', 'team/i1'] as const;
const honestBindingKeys = ['default/b0', 'default/b1', 'default/b2', 'default/b3', 'default/b4', 'team/b0', 'team/b1'] as const;
const hostileIdentityKeys = ['hostile/i0', 'hostile/i1', 'hostile/h0', 'hostile/h1'] as const;
const hostileBindingKeys = ['hostile/b0', 'hostile/b1', 'hostile/b2'] as const;
export const identityKeys = [...honestIdentityKeys, ...hostileIdentityKeys];
export const bindingKeys = [...honestBindingKeys, ...hostileBindingKeys];
/** Identities in Azure that exist. `foreign` is on every scope from the start; `shared` is attached by others at times. */
export const azureNames = ['red', 'green', 'blue', 'shared', 'foreign'] as const;

/**
 * Identities that make Azure refuse the whole write. It names `absent`. It refuses the PATCH of `hidden` and of `lost`, the latter with a 404, and lets the
 * operation of `late` fail; there it names none.
 */
export const badNames = ['absent', 'hidden', 'lost', 'late'] as const;

export type AzureName = (typeof azureNames)[number];
export type BadName = (typeof badNames)[number];
/** What an AzureIdentity stands for. `principal` is a service principal, which is never attached. */
export type IdentityKind = AzureName | BadName | 'principal';
export type ScopeName = (typeof scopeNames)[number];
export type Namespace = (typeof namespaces)[number];
const honestKinds = [...azureNames, 'principal'] as const;
const hostileKinds = [...badNames, ...badNames, ...azureNames] as const;

export type Command =
  | { do: 'make pod'; pod: string; selector: string; node: string; injected: boolean }
  | { do: 'remove pod'; pod: string }
  | { do: 'finish pod'; pod: string }
  | { do: 'move pod'; pod: string; node: string }
  | { do: 'relabel pod'; pod: string; selector: string }
  | { do: 'set binding'; binding: string; identity: string; selector: string }
  | { do: 'remove binding'; binding: string }
  /** `federated`: counts for identities in Azure only. */
  | { do: 'set identity'; identity: string; azure: IdentityKind; namespaced: boolean; federated: boolean }
  /** The identity is federated or attached under the pods that use it. */
  | { do: 'switch identity'; identity: string; federated: boolean }
  | { do: 'remove identity'; identity: string }
  | { do: 'touch identity'; identity: string; times: number }
  | { do: 'set exception'; namespace: Namespace }
  | { do: 'remove exception'; namespace: Namespace }
  | { do: 'remove node'; node: string }
  | { do: 'make node'; node: string }
  | { do: 'foreign attach'; scope: ScopeName; azure: AzureName }
  | { do: 'foreign detach'; scope: ScopeName; azure: AzureName }
  | { do: 'fault'; fault: Record<string, unknown> }
  | { do: 'pause record'; scope: ScopeName }
  | { do: 'kill leader' }
  | { do: 'stop leader' }
  | { do: 'freeze leader' }
  | { do: 'restart API server' }
  | { do: 'wait'; ms: number };

const one = <T extends string>(names: readonly T[]) => fc.constantFrom<T>(...names);
const rarely = fc.integer({ min: 0, max: 4 }).map((number) => number === 0);
const command = <D extends Command['do'], F extends Record<string, fc.Arbitrary<unknown>>>(what: D, fields: F) =>
  fc.record({ do: fc.constant(what), ...fields });

const failedOperation = (end: string, code: string) => ({ fault: 'operation', ms: 80, end, code });
const oops = { error: { code: 'InternalServerError', message: 'x' } };
const fault = fc.constantFrom<Record<string, unknown>>(
  { fault: 'precondition-failed', method: 'PATCH' },
  { fault: 'reset', service: 'arm', method: 'write', count: 1, processed: false },
  { fault: 'reset', service: 'arm', method: 'write', count: 1, processed: true },
  { fault: 'reset', service: 'arm', method: 'GET', count: 2 },
  { fault: 'answer', service: 'arm', method: 'PATCH', count: 1, status: 500, body: oops },
  { fault: 'answer', service: 'arm', method: 'GET', count: 1, status: 503, body: 'busy' },
  { fault: 'throttled', count: 1, retryAfter: 1 },
  { fault: 'unauthorized' },
  { fault: 'latency', service: 'arm', ms: 150, count: 4 },
  failedOperation('Failed', 'InternalExecutionError'),
);
/** After these the controller backs off for 5 to 30 s, so few histories have one. */
const slowFault = fc.constantFrom<Record<string, unknown>>({ fault: 'conflict' }, failedOperation('Canceled', 'OperationPreempted'));

const newPod = { pod: one(podKeys), selector: one(selectors), node: one(nodeNames), injected: rarely.map((bare) => !bare) };
/** The binding names an identity of its own namespace, by its bare name. */
const identityNameIn = (binding: string) => one(identityKeys.filter((key) => key.startsWith(`${binding.split('/')[0]}/`)));
const newBinding = (keys: readonly string[]) =>
  one(keys).chain((binding) =>
    command('set binding', { binding: fc.constant(binding), identity: identityNameIn(binding), selector: one(selectors) }),
  );
const hostileIdentity = command('set identity', {
  identity: one(hostileIdentityKeys),
  azure: one(hostileKinds),
  namespaced: fc.constant(false),
  federated: fc.constant(false),
});

const everyday: fc.WeightedArbitrary<unknown>[] = [
  { weight: 16, arbitrary: command('make pod', newPod) },
  { weight: 6, arbitrary: command('remove pod', { pod: one(podKeys) }) },
  { weight: 2, arbitrary: command('finish pod', { pod: one(podKeys) }) },
  { weight: 3, arbitrary: command('move pod', { pod: one(podKeys), node: one(nodeNames) }) },
  { weight: 4, arbitrary: command('relabel pod', { pod: one(podKeys), selector: one(selectors) }) },
  { weight: 10, arbitrary: newBinding(honestBindingKeys) },
  { weight: 4, arbitrary: command('remove binding', { binding: one(bindingKeys) }) },
  {
    weight: 7,
    arbitrary: command('set identity', {
      identity: one(honestIdentityKeys),
      azure: one(honestKinds),
      namespaced: rarely,
      federated: fc.integer({ min: 0, max: 2 }).map((number) => number === 0),
    }),
  },
  { weight: 10, arbitrary: command('switch identity', { identity: one(honestIdentityKeys), federated: fc.boolean() }) },
  { weight: 2, arbitrary: command('remove identity', { identity: one(identityKeys) }) },
  { weight: 16, arbitrary: hostileIdentity },
  { weight: 8, arbitrary: newBinding(hostileBindingKeys) },
  { weight: 5, arbitrary: command('touch identity', { identity: one(hostileIdentityKeys), times: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 2, arbitrary: command('set exception', { namespace: one(namespaces) }) },
  { weight: 1, arbitrary: command('remove exception', { namespace: one(namespaces) }) },
  { weight: 2, arbitrary: command('remove node', { node: one(nodeNames) }) },
  { weight: 2, arbitrary: command('make node', { node: one(nodeNames) }) },
  { weight: 4, arbitrary: command('foreign attach', { scope: one(scopeNames), azure: fc.constant<AzureName>('shared') }) },
  { weight: 4, arbitrary: command('foreign detach', { scope: one(scopeNames), azure: one(azureNames) }) },
  { weight: 6, arbitrary: command('fault', { fault }) },
  { weight: 2, arbitrary: command('pause record', { scope: one(scopeNames) }) },
  // Some are longer than an assignment takes, so that identities are in use when the next thing happens.
  { weight: 7, arbitrary: command('wait', { ms: fc.integer({ min: 1, max: 200 }) }) },
  { weight: 2, arbitrary: command('wait', { ms: fc.integer({ min: 500, max: 900 }) }) },
];
const disasters: fc.WeightedArbitrary<unknown>[] = [
  { weight: 20, arbitrary: command('kill leader', {}) },
  { weight: 10, arbitrary: command('stop leader', {}) },
  { weight: 10, arbitrary: command('freeze leader', {}) },
  { weight: 3, arbitrary: command('restart API server', {}) },
  { weight: 3, arbitrary: command('fault', { fault: slowFault }) },
];

/** About 30 commands. One history in five has a disaster: each takes the time of a Lease. */
export function historyOf(seed: number): Command[] {
  const calm = fc.array(fc.oneof(...everyday) as fc.Arbitrary<Command>, { minLength: 15, maxLength: 36 });
  const hostile = fc.array(hostileIdentity as fc.Arbitrary<Command>, { minLength: 1, maxLength: 3 });
  const disaster = fc.oneof(...disasters) as fc.Arbitrary<Command>;
  const whole = fc
    .tuple(hostile, calm, calm, fc.array(disaster, { maxLength: 1 }), fc.integer({ min: 0, max: 4 }))
    .map(([start, before, after, bad, number]) => [...start, ...before, ...(number === 0 ? [...bad, ...after.slice(0, 8)] : [])]);
  const [history] = fc.sample(whole, { seed, numRuns: 1 });
  return history ?? [];
}
