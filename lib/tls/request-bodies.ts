// Reads the bodies of requests within a budget of memory: those that are too slow, too large or too many give way to those of other sources
// (docs/adr/0024-connection-and-memory-limits.md).
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyRequest } from 'fastify';
import type { Clock } from '../../common/clock.ts';
import type { FairLock } from '../fair-lock.ts';
import { createFairLock } from '../fair-lock.ts';
import type { BodyBudget } from './body-budget.ts';
import { createBodyBudget } from './body-budget.ts';
import { BodyError, parsedSize, parseJson } from './json-body.ts';
import type { TlsApp } from './server.ts';
import { createTurns } from './turns.ts';

export interface BodyLimits {
  /** Bytes of all open bodies together, and of what is parsed from them. A source that has half of it reads one body at a time. */
  maxBodyBytes: number;
  /** A body that has not arrived so long after its headers is refused. */
  bodyMs: number;
}

export interface RequestBodiesOptions {
  limits: BodyLimits;
  /** Bytes of one body. */
  bodyLimit: number;
  clock: Clock;
}

/** A body that takes more when it is parsed is handled alone. */
const largeBytes = 1024 * 1024;
/** No honest client sends so many values. */
const maxParsedBytes = 32 * 1024 * 1024;

/** An open body, as its budget calls it. */
interface OpenBody {
  resume(): void;
  /** It has to give way. */
  cut(): void;
}

interface Context {
  budget: BodyBudget<OpenBody>;
  bodyLimit: number;
  bodyMs: number;
  clock: Clock;
}

/** Takes JSON bodies, and no others. */
export function readJsonBodies(app: TlsApp, { limits: { maxBodyBytes, bodyMs }, bodyLimit, clock }: RequestBodiesOptions): void {
  const context: Context = { budget: createBodyBudget(maxBodyBytes), bodyLimit, bodyMs, clock };
  const largeOnes = createFairLock();
  const turns = createTurns(clock);
  const responses = new WeakMap<IncomingMessage, ServerResponse>();
  app.addHook('onRequest', (request, reply, done) => {
    responses.set(request.raw, reply.raw);
    done();
  });
  const parseText = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', async (request: FastifyRequest, incoming: IncomingMessage) => {
    const response = responses.get(incoming);
    const source = incoming.socket.remoteAddress;
    if (response === undefined || source === undefined) throw new BodyError(408, 'the client has left');
    const { text, size } = await readBody(incoming, response, source, context);
    if (size > largeBytes) await holdUntilAnswered(largeOnes, response, source);
    await turns.take(source, text.length);
    if (response.closed) throw new BodyError(408, 'the client has left');
    return parseJson(text, (characters, done) => void parseText(request, characters, done));
  });
}

function readBody(
  incoming: IncomingMessage,
  response: ServerResponse,
  source: string,
  { budget, bodyLimit, bodyMs, clock }: Context,
): Promise<{ text: Buffer; size: number }> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let received = 0;
    let waits = false;
    let isRead = false;
    const body: OpenBody = {
      resume: () => void incoming.resume(),
      cut: () => fail(new BodyError(429, 'too many bodies at once from this address')),
    };
    const close = () => {
      cancel();
      for (const other of budget.close(body)) other.resume();
    };
    const fail = (error: BodyError) => {
      incoming.off('data', onData).off('end', onEnd);
      chunks.length = 0;
      close();
      reject(error);
    };
    const onData = (chunk: Buffer) => {
      received += chunk.length;
      if (received > bodyLimit) return fail(new BodyError(413, 'the body is too large'));
      chunks.push(chunk);
      const { pause, cut } = budget.add(body, chunk.length);
      waits = pause;
      if (pause) incoming.pause();
      for (const other of cut) other.cut();
    };
    const onEnd = () => {
      cancel();
      const text = Buffer.concat(chunks, received);
      const size = parsedSize(text);
      if (size > maxParsedBytes) return fail(new BodyError(413, 'the body has too many values'));
      budget.complete(body, size);
      isRead = true;
      resolve({ text, size });
    };
    const late = () => {
      if (!incoming.complete)
        fail(
          waits ? new BodyError(429, 'too many bodies at once from this address') : new BodyError(408, 'the body did not arrive in time'),
        );
    };
    budget.open(body, source);
    // What has arrived while the process was busy is read first.
    const cancel = clock.after(bodyMs, () => setImmediate(late));
    incoming.on('data', onData).on('end', onEnd);
    response.once('close', () => {
      close();
      // An error for each request, made for nothing, would cost a tenth of it.
      if (!isRead) reject(new BodyError(408, 'the client has left'));
    });
  });
}

async function holdUntilAnswered(lock: FairLock, response: ServerResponse, source: string): Promise<void> {
  const release = await lock.acquire(source);
  if (response.closed) release();
  else response.once('close', release);
}
