// JSON from a client that may be hostile.
import { isUtf8 } from 'node:buffer';

/** A request is refused because of its body. Fastify answers with `statusCode`. */
export class BodyError extends Error {
  override readonly name = 'BodyError';
  readonly statusCode: 400 | 408 | 413 | 429;

  constructor(statusCode: BodyError['statusCode'], message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

/** The parser of fastify. It calls back at once. */
export type ParseText = (text: string, done: (error: Error | null, value?: unknown) => void) => void;

/** Refuses what is not UTF-8, and what `parseText` refuses, with a {@link BodyError}. */
export function parseJson(text: Buffer, parseText: ParseText): unknown {
  if (!isUtf8(text)) throw new BodyError(400, 'the body is not UTF-8');
  let result: { error: Error | null; value?: unknown } | undefined;
  parseText(text.toString(), (error, value) => {
    result = { error, value };
  });
  if (result?.error !== null) throw new BodyError(400, 'the body is not JSON, or has a key __proto__ or constructor.prototype');
  return result.value;
}

const [quote, backslash, comma, colon, bracket, brace] = Buffer.from('"\\,:[{');
/** Of an object or an array with its place in another one (docs/reference/node-runtime.md#memory). */
const valueBytes = 64;

/** About the memory that a JSON text takes while it is parsed and used: two bytes a character, and more for each value, which may have two characters. */
export function parsedSize(text: Buffer): number {
  let values = 0;
  let inString = false;
  for (let index = 0; index < text.length; index += 1) {
    const byte = text[index];
    if (inString) {
      if (byte === backslash) index += 1;
      else if (byte === quote) inString = false;
    } else if (byte === quote) inString = true;
    else if (byte === comma || byte === colon || byte === bracket || byte === brace) values += 1;
  }
  return 2 * text.length + valueBytes * values;
}
