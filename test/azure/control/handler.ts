// The control address: the log, the state, the faults, the clock and other writers (design 8).
import type { LogEntry } from '../core/log.ts';
import type { Answer, Incoming } from '../core/messages.ts';
import { json, parseJson } from '../core/messages.ts';
import type { World } from '../core/world.ts';
import { action, menu, readFault } from '../faults/menu.ts';
import { patchedState, replacedState } from '../state/change.ts';
import type { Read } from '../state/fields.ts';
import { DocumentError, fields, flag, moment, whole } from '../state/fields.ts';
import { writeState } from '../state/write.ts';

type Exchange = (request: Incoming, world: World, id: string | null, signal: AbortSignal) => Answer | Promise<Answer>;

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

async function readLog(request: Incoming, world: World, signal: AbortSignal): Promise<Answer> {
  const since = numberOf(request, 'since', 0);
  const wait = numberOf(request, 'wait', 0);
  const service = request.query.get('service');
  const kind = request.query.get('kind');
  const wanted = (entry: LogEntry) =>
    entry.seq > since &&
    (kind === null || entry.kind === kind) &&
    (service === null || (entry.kind === 'request' && entry.service === service));
  world.state();
  if (wait > 0) {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(wait * 1000)]);
    // Either something came or the wait is over: the list says which.
    await world.log.waitFor(wanted, limit).catch(() => null);
  }
  return json(200, { last: world.log.last, dropped: world.log.dropped, entries: world.log.list(since).filter(wanted) });
}

function setState(request: Incoming, world: World): Answer {
  const now = world.clock.now();
  const body = readBody(request);
  world.replaceState(request.method === 'PUT' ? replacedState(body, now) : patchedState(world.state(), body, now));
  return json(200, writeState(world.state()));
}

function addFaults(request: Incoming, world: World): Answer {
  const body = readBody(request);
  const now = world.clock.now();
  const read = Array.isArray(body) ? body.map((item, index) => readFault(item, `[${index}]`, now)) : [readFault(body, '', now)];
  return json(201, { faults: read.map((fault) => world.addFault(fault)) });
}

const clockCommand: Read<{ advanceMs: number | null; set: number | null; freeze: boolean; run: boolean }> = (value, path) =>
  fields(value, path, { advanceMs: [whole, null], set: [moment, null], freeze: [flag, false], run: [flag, false] });

const showClock = (world: World) =>
  json(200, { now: new Date(world.clock.now()).toISOString(), ms: world.clock.now(), frozen: world.clock.frozen });

function setClock(request: Incoming, world: World): Answer {
  const { clock } = world;
  const { advanceMs, set, freeze, run } = clockCommand(readBody(request), '');
  if (freeze && run) throw new DocumentError('run', 'cannot go with "freeze"');
  if (freeze) clock.freeze();
  if (set !== null) clock.advance(set - clock.now());
  if (advanceMs !== null) clock.advance(advanceMs);
  if (run) clock.run();
  world.log.change(`clock ${request.body.trim()}: now ${new Date(clock.now()).toISOString()}`, clock.now(), null);
  world.state();
  return showClock(world);
}

async function doAction(request: Incoming, world: World): Promise<Answer> {
  const body = readBody(request);
  const problem = await world.act(action(body, ''));
  return problem === null ? json(200, writeState(world.state())) : bad(problem);
}

const routes: Readonly<Record<string, Readonly<Record<string, Exchange>>>> = {
  requests: {
    GET: (request, world, _id, signal) => readLog(request, world, signal),
    DELETE(_request, world) {
      world.log.clear();
      return json(200, { last: world.log.last });
    },
  },
  state: { GET: (_request, world) => json(200, writeState(world.state())), PUT: setState, PATCH: setState },
  faults: {
    GET: (_request, world) => json(200, { faults: world.faults.list(world.clock.now()), menu: Object.keys(menu) }),
    POST: addFaults,
    DELETE(_request, world, id) {
      const removed = world.removeFaults(id);
      return id !== null && removed === 0 ? json(404, { error: `there is no fault "${id}"` }) : json(200, { removed });
    },
  },
  clock: { GET: (_request, world) => showClock(world), POST: setClock },
  actions: { POST: doAction },
};

export async function answerControl(request: Incoming, world: World, signal: AbortSignal): Promise<Answer> {
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
    return await exchange(request, world, id, signal);
  } catch (error) {
    if (error instanceof DocumentError) return bad(error.message);
    throw error;
  }
}
