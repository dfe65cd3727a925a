// The one ordered log: every request and every change of state, as they happened. Tokens and secrets appear as fingerprints only.
import { fingerprint } from './jwt.ts';
import type { Answer, Incoming, Service } from './messages.ts';
import { isRecord, parseJson } from './messages.ts';

export type RequestEntry = {
  readonly kind: 'request';
  readonly seq: number;
  /** Emulated time, milliseconds since the epoch. */
  readonly at: number;
  readonly service: Service;
  /** Which machine's IMDS was asked. */
  readonly vm: string | null;
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
  /** Null while unanswered, and for good where a fault swallowed the answer. */
  status: number | null;
  answeredAt: number | null;
  /** `code: message` of an error answer. */
  error: string | null;
  /** Fingerprint of a token that was handed out. */
  token: string | null;
  /** Ids of the faults that met it. */
  faults: readonly string[];
};

export type ChangeEntry = {
  readonly kind: 'change';
  readonly seq: number;
  readonly at: number;
  /** The request that made it; null for what time or the control address did. */
  readonly cause: number | null;
  readonly what: string;
};

export type LogEntry = RequestEntry | ChangeEntry;

export type Log = {
  request(service: Service, vm: string | null, request: Incoming, at: number): RequestEntry;
  answered(entry: RequestEntry, answer: Answer | null, at: number): void;
  change(what: string, at: number, cause: number | null): void;
  /** Entries after `since`, oldest first. */
  list(since?: number): readonly LogEntry[];
  /** Resolves with the first entry, already there or to come, that the predicate accepts. Answered requests are offered again. */
  waitFor(predicate: (entry: LogEntry) => boolean, signal?: AbortSignal): Promise<LogEntry>;
  clear(): void;
  /** Sequence number of the newest entry. */
  readonly last: number;
  /** Entries lost to the bound. */
  readonly dropped: number;
};

const secretFields = new Set(['client_secret', 'client_assertion', 'assertion', 'password', 'refresh_token', 'access_token', 'id_token']);
const longestBody = 256 * 1024;
const mostBytes = 64 * 1024 * 1024;

const hideSecrets = (entries: Iterable<[string, string]>) =>
  Object.fromEntries([...entries].map(([name, value]) => [name, secretFields.has(name.toLowerCase()) ? fingerprint(value) : value]));

function shownHeaders(headers: Incoming['headers']): Record<string, string> {
  const shown: Record<string, string> = { ...headers };
  if (shown.authorization !== undefined) {
    const [scheme = '', ...rest] = shown.authorization.split(' ');
    shown.authorization = rest.length === 0 ? fingerprint(scheme) : `${scheme} ${fingerprint(rest.join(' '))}`;
  }
  for (const name of ['cookie', 'x-identity-header', 'proxy-authorization']) {
    if (shown[name] !== undefined) shown[name] = fingerprint(shown[name]);
  }
  return shown;
}

function shownBody(request: Incoming): unknown {
  if (request.body === '') return null;
  if (request.body.length > longestBody) return `${request.body.length} characters`;
  if (request.headers['content-type']?.includes('form-urlencoded')) return hideSecrets(new URLSearchParams(request.body));
  const parsed = parseJson(request.body);
  // Text that is neither may hold anything: only its size is safe to show.
  return parsed === undefined ? `${request.body.length} characters that are not JSON` : parsed;
}

function outcome(answer: Answer): { error: string | null; token: string | null } {
  const body = parseJson(answer.body);
  if (!isRecord(body)) return { error: answer.status >= 400 ? answer.body.slice(0, 200) : null, token: null };
  const token = typeof body.access_token === 'string' ? fingerprint(body.access_token) : null;
  if (answer.status < 400) return { error: null, token };
  const error = isRecord(body.error)
    ? `${String(body.error.code)}: ${String(body.error.message)}`
    : `${String(body.error)}: ${String(body.error_description ?? '')}`;
  return { error, token };
}

/** `limit` entries (and a size that is estimated) bound memory: beyond it the oldest entries are dropped and counted. */
export function createLog(limit = 50_000): Log {
  let entries: LogEntry[] = [];
  let seq = 0;
  let dropped = 0;
  let bytes = 0;
  const watchers = new Set<(entry: LogEntry) => void>();

  function append<T extends LogEntry>(entry: T, size: number): T {
    entries.push(entry);
    bytes += size;
    // Cut in slices: dropping one at a time would move the whole list for each entry.
    if (entries.length > limit * 1.1 || bytes > mostBytes) {
      const kept = Math.min(limit, Math.ceil(entries.length * 0.9));
      bytes *= kept / entries.length;
      dropped += entries.length - kept;
      entries = entries.slice(-kept);
    }
    for (const watcher of [...watchers]) watcher(entry);
    return entry;
  }

  return {
    request(service, vm, request, at) {
      const { method, path } = request;
      const shown = { query: hideSecrets(request.query), headers: shownHeaders(request.headers), body: shownBody(request) };
      seq += 1;
      const open = { status: null, answeredAt: null, error: null, token: null, faults: [] };
      return append<RequestEntry>(
        { kind: 'request', seq, at, service, vm, method, path, ...shown, ...open },
        request.target.length + request.body.length + 1000,
      );
    },
    answered(entry, answer, at) {
      if (answer !== null) Object.assign(entry, { status: answer.status, ...outcome(answer) });
      entry.answeredAt = at;
      for (const watcher of [...watchers]) watcher(entry);
    },
    change(what, at, cause) {
      seq += 1;
      append<ChangeEntry>({ kind: 'change', seq, at, cause, what }, what.length + 200);
    },
    list: (since = 0) => (since === 0 ? [...entries] : entries.filter((entry) => entry.seq > since)),
    waitFor(predicate, signal) {
      const known = entries.find(predicate);
      if (known !== undefined) return Promise.resolve(known);
      return new Promise((resolve, reject) => {
        const stop = () => {
          watchers.delete(watcher);
          signal?.removeEventListener('abort', aborted);
        };
        const aborted = () => {
          stop();
          reject(signal?.reason);
        };
        const watcher = (entry: LogEntry) => {
          if (!predicate(entry)) return;
          stop();
          resolve(entry);
        };
        if (signal?.aborted === true) return reject(signal.reason);
        signal?.addEventListener('abort', aborted, { once: true });
        watchers.add(watcher);
      });
    },
    clear() {
      entries = [];
      bytes = 0;
    },
    get last() {
      return seq;
    },
    get dropped() {
      return dropped;
    },
  };
}
