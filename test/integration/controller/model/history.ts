// Random histories: what people, Azure and bad luck do to the system, as data. A seed always gives the same history.
import fc from 'fast-check';

export const podNames = ['p0', 'p1', 'p2', 'p3', 'p4'] as const;
export const nodeNames = ['set-a-0', 'set-a-1', 'set-b-0', 'machine'] as const;
export const scopeNames = ['set-a', 'set-b', 'machine'] as const;
export const selectors = ['s0', 's1', 's2'] as const;
export const identityNames = ['i0', 'i1', 'i2', 'i3'] as const;
export const bindingNames = ['b0', 'b1', 'b2', 'b3', 'b4'] as const;
/** Identities in Azure. `absent` does not exist there; `foreign` is on every scope from the start; `shared` is attached by others at times. */
export const azureNames = ['red', 'green', 'blue', 'shared', 'foreign', 'absent'] as const;

export type AzureName = (typeof azureNames)[number];
export type ScopeName = (typeof scopeNames)[number];

export type Command =
  | { do: 'make pod'; pod: string; selector: string; node: string }
  | { do: 'remove pod'; pod: string }
  | { do: 'relabel pod'; pod: string; selector: string }
  | { do: 'set binding'; binding: string; identity: string; selector: string }
  | { do: 'remove binding'; binding: string }
  | { do: 'set identity'; identity: string; azure: AzureName }
  | { do: 'remove identity'; identity: string }
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
const command = <D extends Command['do'], F extends Record<string, fc.Arbitrary<unknown>>>(what: D, fields: F) =>
  fc.record({ do: fc.constant(what), ...fields });

const failedOperation = (end: string, code: string) => ({ fault: 'operation', ms: 80, end, code });
const fault = fc.constantFrom<Record<string, unknown>>(
  { fault: 'precondition-failed' },
  { fault: 'reset', service: 'arm', method: 'write', count: 1, processed: false },
  { fault: 'reset', service: 'arm', method: 'write', count: 1, processed: true },
  { fault: 'reset', service: 'arm', method: 'GET', count: 2 },
  {
    fault: 'answer',
    service: 'arm',
    method: 'PATCH',
    count: 1,
    status: 500,
    body: { error: { code: 'InternalServerError', message: 'x' } },
  },
  { fault: 'answer', service: 'arm', method: 'GET', count: 1, status: 503, body: 'busy' },
  { fault: 'throttled', count: 1, retryAfter: 1 },
  { fault: 'unauthorized' },
  { fault: 'latency', service: 'arm', ms: 150, count: 4 },
  failedOperation('Failed', 'InternalExecutionError'),
);

const everyday: fc.WeightedArbitrary<unknown>[] = [
  { weight: 8, arbitrary: command('make pod', { pod: one(podNames), selector: one(selectors), node: one(nodeNames) }) },
  { weight: 4, arbitrary: command('remove pod', { pod: one(podNames) }) },
  { weight: 2, arbitrary: command('relabel pod', { pod: one(podNames), selector: one(selectors) }) },
  { weight: 5, arbitrary: command('set binding', { binding: one(bindingNames), identity: one(identityNames), selector: one(selectors) }) },
  { weight: 2, arbitrary: command('remove binding', { binding: one(bindingNames) }) },
  { weight: 3, arbitrary: command('set identity', { identity: one(identityNames), azure: one(azureNames) }) },
  { weight: 1, arbitrary: command('remove identity', { identity: one(identityNames) }) },
  { weight: 1, arbitrary: command('remove node', { node: one(nodeNames) }) },
  { weight: 1, arbitrary: command('make node', { node: one(nodeNames) }) },
  { weight: 2, arbitrary: command('foreign attach', { scope: one(scopeNames), azure: fc.constant<AzureName>('shared') }) },
  { weight: 2, arbitrary: command('foreign detach', { scope: one(scopeNames), azure: one(azureNames) }) },
  { weight: 3, arbitrary: command('fault', { fault }) },
  { weight: 1, arbitrary: command('pause record', { scope: one(scopeNames) }) },
  { weight: 4, arbitrary: command('wait', { ms: fc.integer({ min: 1, max: 250 }) }) },
];
const disasters: fc.WeightedArbitrary<unknown>[] = [
  { weight: 2, arbitrary: command('kill leader', {}) },
  { weight: 1, arbitrary: command('stop leader', {}) },
  { weight: 1, arbitrary: command('freeze leader', {}) },
  { weight: 0.3, arbitrary: command('restart API server', {}) },
];

/** About 25 commands; one history in five has a disaster, for they take the time of a lease each. */
export function historyOf(seed: number): Command[] {
  const calm = fc.array(fc.oneof(...everyday) as fc.Arbitrary<Command>, { minLength: 15, maxLength: 30 });
  const disaster = fc.oneof(
    ...disasters.map(({ weight, arbitrary }) => ({ weight: Math.ceil(weight * 10), arbitrary })),
  ) as fc.Arbitrary<Command>;
  const whole = fc
    .tuple(calm, calm, fc.array(disaster, { maxLength: 1 }), fc.integer({ min: 0, max: 4 }))
    .map(([before, after, bad, luck]) => (luck === 0 ? [...before, ...bad, ...after.slice(0, 8)] : before));
  const [history] = fc.sample(whole, { seed, numRuns: 1 });
  return history ?? [];
}
