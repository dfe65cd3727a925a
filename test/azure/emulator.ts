// The Azure emulator as a library: IMDS, ARM and Entra over one state, one log and one clock, each on an address of its own.

import { failure as armFailure } from './arm/errors.ts';
import { answerControl } from './control/handler.ts';
import type { ServingCertificate } from './core/certificates.ts';
import { alternativeNames, createServingCertificate } from './core/certificates.ts';
import type { Clock } from './core/clock.ts';
import { createClock } from './core/clock.ts';
import type { EmulatedService, Engine } from './core/engine.ts';
import { createEngine } from './core/engine.ts';
import { createKeyRing } from './core/keys.ts';
import type { Log } from './core/log.ts';
import { createLog } from './core/log.ts';
import type { Answer } from './core/messages.ts';
import { json } from './core/messages.ts';
import { createRandom } from './core/random.ts';
import type { ListenAddress, Listener, ListenerOptions } from './core/serve.ts';
import { startListener } from './core/serve.ts';
import type { Action } from './faults/actions.ts';
import { readFault } from './faults/catalog.ts';
import { problem as imdsProblem } from './imds/errors.ts';
import { patchedState, replacedState } from './state/change.ts';
import { readState } from './state/document.ts';
import { DocumentError } from './state/fields.ts';
import type { State, VmReference } from './state/model.ts';
import { findVm } from './state/names.ts';

export type EmulatorOptions = {
  /** A state document (state/document.ts); a wrong one is refused with a DocumentError. */
  readonly state: unknown;
  /** Where each service listens; 127.0.0.1 and any free port by default. */
  readonly listen?: Partial<Record<EmulatedService | 'control', ListenAddress>>;
  /** `lenient`: IMDS takes trailing and doubled slashes, which SDKs send when a variable moved them here. Default `strict`. */
  readonly paths?: 'lenient' | 'strict';
  readonly seed?: number;
  /** PEM certificates by which issuers of federated tokens serve their keys, trusted besides the usual roots. */
  readonly issuerCa?: string;
  /** The machine the IMDS listener stands for, instead of the state's `imds.vm`. */
  readonly vm?: string;
  /** Milliseconds since the epoch; the machine's time by default. */
  readonly machineTime?: () => number;
};

export type Emulator = {
  readonly urls: { readonly imds: string; readonly arm: string; readonly entra: string; readonly control: string };
  /** PEM of the authority that ARM's and Entra's certificates come from. */
  readonly ca: string;
  readonly clock: Clock;
  readonly log: Log;
  /** The state with all changes that are due by now. */
  state(): State;
  /** As PUT /state and PATCH /state. */
  setState(document: unknown): void;
  patchState(patch: unknown): void;
  /** As POST /faults with one entry; the id removes it again. */
  addFault(document: Readonly<Record<string, unknown>>): string;
  removeFaults(id?: string): number;
  /** As POST /actions. */
  act(action: Action): Promise<void>;
  /** Another IMDS, of another machine, on a port of its own; answers its address. */
  addImds(vm: string): Promise<string>;
  stop(): Promise<void>;
};

const refusals: Readonly<Record<EmulatedService | 'control', (status: number, message: string) => Answer>> = {
  imds: (status, message) => imdsProblem(status, 'bad_request', message),
  arm: (status, message) => armFailure(status, 'BadRequest', message),
  entra: (status, message) => json(status, { error: 'invalid_request', error_description: `AADSTS90014: ${message}` }),
  control: (status, message) => json(status, { error: message }),
};

// RSA keys take most of the time of a start, so the emulators of one process share an authority for the same names.
const certificates = new Map<string, Promise<ServingCertificate>>();

function servingCertificate(names: readonly string[]): Promise<ServingCertificate> {
  const key = names.join(' ');
  const known = certificates.get(key) ?? createServingCertificate(names);
  certificates.set(key, known);
  return known;
}

const anywhere: ListenAddress = { host: '127.0.0.1', port: 0 };

function vmOf(state: State, name: string): VmReference {
  const vm = findVm(state.resources, name);
  if (vm === null) throw new DocumentError('vm', `"${name}" is not "set/instance", the name of a virtual machine, or an id of one`);
  return vm;
}

function createParts(engine: Engine, options: EmulatorOptions, tls: ListenerOptions['tls']) {
  const { clock } = engine;
  return (service: EmulatedService, vm: () => VmReference | null, address: ListenAddress): Promise<Listener> =>
    startListener({
      address,
      tls: service === 'imds' ? null : tls,
      clock,
      lenientPaths: service === 'imds' && options.paths === 'lenient',
      exchange: (request, signal) => engine.exchange(service, request, signal, vm()),
      refusal: refusals[service],
    });
}

/** Starts everything; rejects (with nothing left running) where an address cannot be had or the state is wrong. */
export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  const clock = createClock(options.machineTime);
  const state = readState(options.state, clock.now());
  const ownVm = options.vm === undefined ? null : vmOf(state, options.vm);
  const listen = { imds: anywhere, arm: anywhere, entra: anywhere, control: anywhere, ...options.listen };
  const [keys, tls] = await Promise.all([createKeyRing(), servingCertificate(alternativeNames([listen.arm.host, listen.entra.host]))]);
  const log = createLog();
  const listeners: Listener[] = [];
  let entraUrl = '';
  const engine = createEngine({
    state,
    clock,
    log,
    keys,
    random: createRandom(options.seed ?? 1),
    entraUrl: () => entraUrl,
    issuerCa: options.issuerCa ?? null,
    listenersOf: (service) => byService[service],
  });
  const byService: Record<EmulatedService, Listener[]> = { imds: [], arm: [], entra: [] };
  const listenFor = createParts(engine, options, tls);

  async function open(service: EmulatedService, vm: () => VmReference | null, address: ListenAddress): Promise<string> {
    const listener = await listenFor(service, vm, address);
    listeners.push(listener);
    byService[service].push(listener);
    return listener.url;
  }

  async function stop(): Promise<void> {
    await engine.stop();
    await Promise.all(listeners.map((listener) => listener.close()));
  }

  try {
    const imds = await open('imds', () => ownVm ?? engine.state().config.vm, listen.imds);
    const arm = await open('arm', () => null, listen.arm);
    entraUrl = await open('entra', () => null, listen.entra);
    const control = await startListener({
      address: listen.control,
      tls: null,
      clock,
      lenientPaths: true,
      exchange: async (request, signal) => ({ answer: await answerControl(request, engine, signal), manner: 'whole' }),
      refusal: refusals.control,
    });
    listeners.push(control);
    return {
      urls: { imds, arm, entra: entraUrl, control: control.url },
      ca: tls.ca,
      clock,
      log,
      state: engine.state,
      setState: (document) => engine.replaceState(replacedState(document, clock.now())),
      patchState: (patch) => engine.replaceState(patchedState(engine.state(), patch, clock.now())),
      addFault: (document) => engine.addFault(readFault(document, '', clock.now())).id,
      removeFaults: (id) => engine.removeFaults(id ?? null),
      async act(action) {
        const reason = await engine.act(action);
        if (reason !== null) throw new DocumentError('', reason);
      },
      addImds: (name) => open('imds', () => findVm(engine.state().resources, name), anywhere),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
