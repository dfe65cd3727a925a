// Requests and answers as plain data: everything behind the sockets works on these.

export type Service = 'imds' | 'arm' | 'entra' | 'control';

export type Incoming = {
  readonly method: string;
  /** The request target as it was sent. */
  readonly target: string;
  /** Its path, still percent-encoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case; repeated headers joined as Node does it. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** `https://host:port` as the caller addressed this server; links in answers start with it. */
  readonly origin: string;
};

export type Answer = { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: string };

export function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers: { 'content-type': 'application/json; charset=utf-8', ...headers }, body: JSON.stringify(body) };
}

export function text(status: number, body: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8', ...headers }, body };
}

/** Parsed JSON, or undefined when the text is not JSON (JSON itself has no undefined). */
export function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Percent-decoded path segments, or null where the encoding is broken. */
export function pathSegments(path: string): string[] | null {
  try {
    return path.split('/').slice(1).map(decodeURIComponent);
  } catch {
    return null;
  }
}
