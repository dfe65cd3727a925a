// The control address: log, state, faults, clock and other writers. docs/emulator.md#control-address

import type { Engine } from '../core/engine.ts';
import type { LogEntry } from '../core/log.ts';
import type { Answer, Incoming } from '../core/messages.ts';
import { json, parseJson } from '../core/messages.ts';
import { action, catalog, readFault } from '../faults/catalog.ts';
import { patchedState, replacedState } from '../state/change.ts';
import type { Read } from '../state/fields.ts';
import { DocumentError, fields, flag, moment, whole } from '../state/fields.ts';
import { writeState } from '../state/write.ts';

type Exchange = (request: Incoming, engine: Engine, id: string | null, signal: AbortSignal) => Answer | Promise<Answer>;

const bad = (message: string): Answer => json(400, { error: message });

function readBody(request: Incoming): unknown {
  const body = parseJson(request.body);
  if (body === undefined) throw new DocumentError('body', 'must be JSON');
  return body;
}

/** A whole number of a query parameter, or the fallback where it is absent. */
function numberOf(request: Incoming, name: string, fallback: number): number {
  const given = request.query.get(name);
  if (given === null) return fallback;
  if (/^\d{1,12}$/.test(given)) return Number(given);
  throw new DocumentError(`?${name}`, `must be a whole number, not "${given}"`);
}

async function readLog(request: Incoming, engine: Engine, signal: AbortSignal): Promise<Answer> {
  const since = numberOf(request, 'since', 0);
  const wait = numberOf(request, 'wait', 0);
  const service = request.query.get('service');
  const kind = request.query.get('kind');
  const wanted = (entry: LogEntry) =>
    entry.seq > since &&
    (kind === null || entry.kind === kind) &&
    (service === null || (entry.kind === 'request' && entry.service === service));
  engine.state();
  if (wait > 0) {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(wait * 1000)]);
    // After the wait the list shows whether something came.
    await engine.log.waitFor(wanted, limit).catch(() => null);
  }
  return json(200, { last: engine.log.last, dropped: engine.log.dropped, entries: engine.log.list(since).filter(wanted) });
}

function setState(request: Incoming, engine: Engine): Answer {
  const now = engine.clock.now();
  const body = readBody(request);
  engine.replaceState(request.method === 'PUT' ? replacedState(body, now) : patchedState(engine.state(), body, now));
  return json(200, writeState(engine.state()));
}

function addFaults(request: Incoming, engine: Engine): Answer {
  const body = readBody(request);
  const now = engine.clock.now();
  const read = Array.isArray(body) ? body.map((item, index) => readFault(item, `[${index}]`, now)) : [readFault(body, '', now)];
  return json(201, { faults: read.map((fault) => engine.addFault(fault)) });
}

const clockCommand: Read<{ advanceMs: number | null; set: number | null; freeze: boolean; run: boolean }> = (value, path) =>
  fields(value, path, { advanceMs: [whole, null], set: [moment, null], freeze: [flag, false], run: [flag, false] });

const showClock = (engine: Engine) =>
  json(200, { now: new Date(engine.clock.now()).toISOString(), ms: engine.clock.now(), frozen: engine.clock.frozen });

function setClock(request: Incoming, engine: Engine): Answer {
  const { clock } = engine;
  const { advanceMs, set, freeze, run } = clockCommand(readBody(request), '');
  if (freeze && run) throw new DocumentError('run', 'cannot go with "freeze"');
  if (freeze) clock.freeze();
  if (set !== null) clock.advance(set - clock.now());
  if (advanceMs !== null) clock.advance(advanceMs);
  if (run) clock.run();
  engine.log.change(`clock ${request.body.trim()}: now ${new Date(clock.now()).toISOString()}`, clock.now(), null);
  engine.state();
  return showClock(engine);
}

async function doAction(request: Incoming, engine: Engine): Promise<Answer> {
  const body = readBody(request);
  const problem = await engine.act(action(body, ''));
  return problem === null ? json(200, writeState(engine.state())) : bad(problem);
}

const routes: Readonly<Record<string, Readonly<Record<string, Exchange>>>> = {
  requests: {
    GET: (request, engine, _id, signal) => readLog(request, engine, signal),
    DELETE(_request, engine) {
      engine.log.clear();
      return json(200, { last: engine.log.last });
    },
  },
  state: { GET: (_request, engine) => json(200, writeState(engine.state())), PUT: setState, PATCH: setState },
  faults: {
    GET: (_request, engine) => json(200, { faults: engine.faults.list(engine.clock.now()), known: Object.keys(catalog) }),
    POST: addFaults,
    DELETE(_request, engine, id) {
      const removed = engine.removeFaults(id);
      return id !== null && removed === 0 ? json(404, { error: `there is no fault "${id}"` }) : json(200, { removed });
    },
  },
  clock: { GET: (_request, engine) => showClock(engine), POST: setClock },
  actions: { POST: doAction },
};

export async function answerControl(request: Incoming, engine: Engine, signal: AbortSignal): Promise<Answer> {
  const [, name = '', id = null, ...more] = request.path.split('/');
  const route = routes[name];
  if (route === undefined || more.length > 0 || (id !== null && name !== 'faults'))
    return json(404, {
      error: `known here: ${Object.keys(routes)
        .map((one) => `/${one}`)
        .join(', ')}`,
    });
  const exchange = route[request.method];
  if (exchange === undefined)
    return json(405, { error: `/${name} takes ${Object.keys(route).join(', ')}` }, { allow: Object.keys(route).join(', ') });
  try {
    return await exchange(request, engine, id, signal);
  } catch (error) {
    if (error instanceof DocumentError) return bad(error.message);
    throw error;
  }
}
