// The engine holds the state and is the only part that changes it. It takes each request through faults and handler, and logs everything in order.

import { describeArm } from '../arm/describe.ts';
import { armHandler } from '../arm/handler.ts';
import { settle } from '../arm/operations.ts';
import { foreignIssuerOf } from '../entra/assertion.ts';
import { describeEntra } from '../entra/describe.ts';
import { entraHandler } from '../entra/handler.ts';
import type { Action } from '../faults/actions.ts';
import { act } from '../faults/actions.ts';
import type { ActiveFaults, Facts, Fault } from '../faults/active-faults.ts';
import { createActiveFaults } from '../faults/active-faults.ts';
import type { Effect } from '../faults/effects.ts';
import { effectOf, effectsOf } from '../faults/effects.ts';
import { describeImds } from '../imds/describe.ts';
import { imdsHandler } from '../imds/handler.ts';
import { describeChange } from '../state/describe.ts';
import type { Change, State, TableName, VmReference } from '../state/model.ts';
import { vmId } from '../state/names.ts';
import type { Clock } from './clock.ts';
import type { Handler, Outcome } from './handler.ts';
import { createIssuerKeys } from './issuers.ts';
import type { KeyRing } from './keys.ts';
import type { Log, RequestEntry } from './log.ts';
import type { Answer, Incoming } from './messages.ts';
import { json } from './messages.ts';
import { drawLogNormal } from './random.ts';

export type EmulatedService = 'imds' | 'arm' | 'entra';

/** How the answer is sent: whole, or as a fault says. */
export type Delivery = { readonly answer: Answer; readonly manner: 'whole' | 'hang' | 'reset' | 'half-open' | { readonly slowMs: number } };

export type Engine = {
  readonly clock: Clock;
  readonly log: Log;
  readonly keys: KeyRing;
  readonly faults: Pick<ActiveFaults, 'list'>;
  addFault(fault: Omit<Fault, 'id'>): Fault;
  /** One by id, or (null) all; returns how many were removed. */
  removeFaults(id: string | null): number;
  /** The state with all changes that are due by now. */
  state(): State;
  replaceState(next: State): void;
  exchange(service: EmulatedService, request: Incoming, signal: AbortSignal, vm: VmReference | null): Promise<Delivery>;
  /** Acts as another writer; returns the reason where that is impossible. */
  act(action: Action): Promise<string | null>;
  /** Wakes all sleepers; no port opens again. */
  stop(): Promise<void>;
};

const services: Readonly<
  Record<
    EmulatedService,
    {
      handler: Handler;
      describe: (request: Incoming, state: State, now: number, vm: VmReference | null) => Pick<Facts, 'resource' | 'identities'>;
    }
  >
> = {
  imds: { handler: imdsHandler, describe: describeImds },
  arm: { handler: armHandler, describe: describeArm },
  entra: { handler: entraHandler, describe: describeEntra },
};

/** The latency measured of each service, in ms. */
const usualLatency = { imds: { median: 30, p99: 800 }, entra: { median: 150, p99: 1500 }, arm: { median: 120, p99: 2000 } } as const;

/** What the fault `refuse` closes and opens again. */
type Refusable = { close(): Promise<void>; open(): Promise<void> };

type MutableTables = { [T in TableName]: Map<string, unknown> };

export function createEngine(parts: {
  state: State;
  clock: Clock;
  log: Log;
  keys: KeyRing;
  random: () => number;
  entraUrl: () => string;
  /** PEM certificates of issuers of federated tokens, trusted besides the usual roots. */
  issuerCa: string | null;
  listenersOf: (service: EmulatedService) => readonly Refusable[];
}): Engine {
  const { clock, log, keys, random, entraUrl } = parts;
  const faults = createActiveFaults(random);
  const issuers = createIssuerKeys({ ca: parts.issuerCa, onFetched: (what) => log.change(what, clock.now(), null) });
  const refusals: Record<EmulatedService, Promise<void>> = { imds: Promise.resolve(), arm: Promise.resolve(), entra: Promise.resolve() };
  const inFlight = new Map<string, number>();
  let stopped = false;
  let state = copy(parts.state);

  // The caller's tables stay as they are: a test may start several emulators from one state.
  function copy(from: State): State & MutableTables {
    const { config, resources, identities, operations, apps, tokens, buckets, assertions } = from;
    return {
      config,
      resources: new Map(resources),
      identities: new Map(identities),
      operations: new Map(operations),
      apps: new Map(apps),
      tokens: new Map(tokens),
      buckets: new Map(buckets),
      assertions: new Map(assertions),
    };
  }

  function apply(changes: readonly Change[], at: number, cause: number | null): void {
    for (const change of changes) {
      const what = describeChange(state, change);
      const table: Map<string, unknown> = state[change.table];
      if (change.value === null) table.delete(change.key);
      else table.set(change.key, change.value);
      if (what !== null) log.change(what, at, cause);
      if (change.table === 'operations' && change.value?.status === 'InProgress' && change.value.endsAt !== null) {
        // Logs the end in time, although no request asks for it.
        void clock.sleep(change.value.endsAt - clock.now()).then(settled);
      }
    }
  }

  function settled(): State {
    for (let step = settle(state, clock.now(), random); step !== null; step = settle(state, clock.now(), random))
      apply(step.changes, step.at, null);
    return state;
  }

  async function doAction(action: Action, cause: number | null): Promise<string | null> {
    if (action.do === 'roll-keys') {
      await keys.roll();
      log.change('signing keys rolled', clock.now(), cause);
      return null;
    }
    const result = act(settled(), action, { now: clock.now(), random });
    if ('error' in result) return result.error;
    log.change(`another writer: ${JSON.stringify(action)}`, clock.now(), cause);
    apply(result.changes, clock.now(), cause);
    return null;
  }

  function handle(service: EmulatedService, request: Incoming, effects: readonly Effect[], vm: VmReference | null, busy: number): Outcome {
    const fixed = effectOf(effects, 'answer');
    if (fixed !== null) return { answer: fixed.answer, changes: [] };
    const skew = effectOf(effects, 'clock-skew')?.ms ?? 0;
    return services[service].handler(request, {
      state: settled(),
      now: clock.now() + skew,
      keys,
      random,
      effects,
      vm,
      inFlight: busy,
      entraUrl: entraUrl(),
      issuerKeys: issuers.keysOf,
    });
  }

  /** A handler that throws is a defect of the emulator: the caller gets a 500 that says so, and the next request is served. */
  function handleSafely(...[service, request, effects, vm, busy]: Parameters<typeof handle>): Outcome {
    try {
      return handle(service, request, effects, vm, busy);
    } catch (error) {
      const message = error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
      log.change(`DEFECT in ${service}: ${message}`, clock.now(), log.last);
      return {
        answer: json(500, { error: { code: 'EmulatorDefect', message: 'The emulator failed on this request; its log says why.' } }),
        changes: [],
      };
    }
  }

  async function serve(
    entry: RequestEntry,
    service: EmulatedService,
    request: Incoming,
    signal: AbortSignal,
    vm: VmReference | null,
    busy: number,
  ): Promise<Delivery> {
    const { method, path } = request;
    const met = faults.take({ service, method, path, ...services[service].describe(request, settled(), clock.now(), vm) }, clock.now());
    const effects = met.map((fault) => fault.effect);
    entry.faults = met.map((fault) => fault.id);
    for (const write of effectsOf(effects, 'write')) {
      const problem = await doAction(write.action, entry.seq);
      if (problem !== null) log.change(`another writer could not: ${problem}`, clock.now(), entry.seq);
    }
    const lost = effectOf(effects, 'reset') ?? effectOf(effects, 'hang') ?? effectOf(effects, 'half-open');
    const nothing: Outcome = { answer: { status: 0, headers: {}, body: '' }, changes: [] };
    if (service === 'entra') await loadIssuer(request);
    const outcome = lost !== null && !lost.processed ? nothing : handleSafely(service, request, effects, vm, busy);
    apply(outcome.changes, clock.now(), entry.seq);
    if (outcome.delayMs !== undefined && outcome.delayMs > 0) await clock.sleep(outcome.delayMs, signal);
    const latency = effectOf(effects, 'latency');
    if (latency !== null) {
      const { median, p99 } = latency.shape ?? usualLatency[service];
      await clock.sleep(drawLogNormal(median, p99, random), signal);
    }
    if (lost !== null) return { answer: outcome.answer, manner: lost.kind };
    log.answered(entry, outcome.answer, clock.now());
    const slow = effectOf(effects, 'slow-body');
    return { answer: outcome.answer, manner: slow === null ? 'whole' : { slowMs: slow.ms } };
  }

  async function loadIssuer(request: Incoming): Promise<void> {
    const foreign = foreignIssuerOf(request, state);
    if (foreign === null) return;
    const given = state.config.issuers.find(({ issuer }) => issuer === foreign.issuer);
    if (given === undefined || given.keys === null) await issuers.load(foreign.issuer, foreign.kid, given?.url ?? null);
  }

  /** No request can hit a closed port, so this fault is applied here. */
  async function followRefusals(service: EmulatedService): Promise<void> {
    if (stopped) return;
    const closed = faults.list(clock.now()).some((fault) => fault.effect.kind === 'refuse' && (fault.scope.service ?? service) === service);
    await Promise.all(parts.listenersOf(service).map((listener) => (closed ? listener.close() : listener.open())));
    log.change(`${service} ${closed ? 'refuses' : 'takes'} connections`, clock.now(), null);
  }

  function follow(): void {
    for (const service of ['imds', 'arm', 'entra'] as const) {
      refusals[service] = refusals[service]
        .then(() => followRefusals(service))
        .catch((error: unknown) => log.change(`could not open ${service} again: ${String(error)}`, clock.now(), null));
    }
  }

  function addFault(fault: Omit<Fault, 'id'>): Fault {
    const added = faults.add(fault);
    log.change(`fault ${added.id} set: ${added.name}`, clock.now(), null);
    if (added.effect.kind === 'refuse') {
      follow();
      if (added.until !== null) void clock.sleep(added.until - clock.now()).then(follow);
    }
    return added;
  }

  function removeFaults(id: string | null): number {
    const refused = faults.list(clock.now()).some((fault) => fault.effect.kind === 'refuse');
    const removed = faults.remove(id ?? undefined);
    if (removed > 0) log.change(id === null ? 'all faults removed' : `fault ${id} removed`, clock.now(), null);
    if (refused) follow();
    return removed;
  }

  return {
    clock,
    log,
    keys,
    faults,
    addFault,
    removeFaults,
    state: settled,
    replaceState(next) {
      state = copy(next);
      log.change('state replaced through the control address', clock.now(), null);
    },
    act: (action) => doAction(action, null),
    async stop() {
      stopped = true;
      issuers.stop();
      clock.stop();
      await Promise.all(Object.values(refusals));
    },
    async exchange(service, request, signal, vm) {
      const resource = vm === null ? undefined : state.resources.get(vm.resource);
      const machine = vm === null || resource === undefined ? null : vmId(resource, vm);
      const entry = log.request(service, machine, request, clock.now());
      const key = `${service} ${machine}`;
      const busy = (inFlight.get(key) ?? 0) + 1;
      inFlight.set(key, busy);
      try {
        return await serve(entry, service, request, signal, vm, busy);
      } finally {
        inFlight.set(key, (inFlight.get(key) ?? 1) - 1);
      }
    },
  };
}
