// Which requests mean what: the route table of design 5 as a pure function. Route first, method second, headers third: some SDKs read a
// 400 on a path that does not exist as "IMDSv2 is there". What goes upstream is built from this table alone, never from the request's text.
import type { Selector, SelectorName } from '../identities/choose.ts';

export interface Incoming {
  method: string;
  /** Already canonical by the URL standard. */
  url: URL;
  header(name: string): string | null;
}

export interface TokenRoute {
  kind: 'token';
  /** Which protocol the caller speaks, and so the shape of its answers. */
  dialect: 'imds' | 'appservice';
  resource: string;
  selector: Selector | undefined;
  xmsCc: string | undefined;
  bypass: boolean;
}

export interface PassRoute {
  kind: 'pass';
  path: string;
  query: Record<string, string>;
}

export interface Refusal {
  kind: 'refusal';
  dialect: 'imds' | 'appservice';
  status: 400 | 401 | 403 | 404 | 405;
  text: string;
}

export type Route = TokenRoute | PassRoute | Refusal | { kind: 'nonce' };

export interface RouteSettings {
  /** Set with `interception: none`: what X-IDENTITY-HEADER has to be. */
  identityHeader: string | undefined;
  blockInstanceMetadata: boolean;
}

const passed = ['api-version', 'format'];
/** Exact paths that are passed to IMDS, with the parameters that go with them. */
const passTable: Record<string, readonly string[]> = {
  'metadata/identity/info': ['api-version'],
  'metadata/versions': [],
  'metadata/attested/document': [...passed, 'nonce'],
  'metadata/loadbalancer': passed,
  'metadata/scheduledevents': ['api-version'],
};
const instanceParameters = [...passed, 'extended'];

const selectors: Record<string, SelectorName> = {
  client_id: 'client_id',
  object_id: 'object_id',
  msi_res_id: 'msi_res_id',
  mi_res_id: 'msi_res_id',
};
const longestResource = 4096;

export function route(request: Incoming, settings: RouteSettings): Route {
  const { pathname } = request.url;
  if (/%2f|%5c/i.test(pathname)) return refuse(400, 'an encoded slash is not accepted in a path');
  const original = pathname.split('/').filter((segment) => segment !== '');
  const segments = original.map((segment) => segment.toLowerCase());
  const path = segments.join('/');

  if (path === 'nonce') return request.method === 'GET' ? { kind: 'nonce' } : refuse(405, wrongMethod);
  if (path === 'metadata/identity/oauth2/token') return guarded(request, () => tokenRoute(request.url.searchParams, 'imds'));
  if (path === 'msi/token' && settings.identityHeader !== undefined) return appService(request, settings.identityHeader);
  const parameters = Object.hasOwn(passTable, path) ? passTable[path] : undefined;
  if (parameters !== undefined) return guarded(request, () => passRoute(`/${path}`, request.url.searchParams, parameters));
  if (segments[0] === 'metadata' && segments[1] === 'instance' && segments.slice(2).every(isPlain)) {
    if (settings.blockInstanceMetadata)
      return refuse(403, 'Request blocked by the identity proxy of this pod: instance metadata is switched off');
    // Leaves of the instance document have capitals in their names; the fixed part is ours.
    return guarded(request, () =>
      passRoute(['/metadata/instance', ...original.slice(2)].join('/'), request.url.searchParams, instanceParameters),
    );
  }
  return refuse(404, 'this path is not served');
}

const wrongMethod = 'only GET is served here';

/** Method and headers, as IMDS wants them. Local and at once: probes of SDKs wait a second at most. */
function guarded(request: Incoming, next: () => Route): Route {
  if (request.method !== 'GET') return refuse(405, wrongMethod);
  if (request.header('metadata')?.toLowerCase() !== 'true') return refuse(400, 'Required metadata header not specified');
  if (request.header('x-forwarded-for') !== null) return refuse(400, 'a request with X-Forwarded-For is not accepted');
  // A web page that had its own name resolve to this address (DNS rebinding) still sends that name.
  if (!isAddress(request.url.hostname)) return refuse(400, 'the Host header has to be an IP address or localhost');
  return next();
}

function appService(request: Incoming, secret: string): Route {
  const refused = (status: Refusal['status'], text: string): Refusal => ({ ...refuse(status, text), dialect: 'appservice' });
  if (request.method !== 'GET') return refused(405, wrongMethod);
  if (!equalInConstantTime(request.header('x-identity-header') ?? '', secret))
    return refused(401, 'the X-IDENTITY-HEADER is missing or wrong');
  if (!isAddress(request.url.hostname)) return refused(400, 'the Host header has to be an IP address or localhost');
  return tokenRoute(request.url.searchParams, 'appservice');
}

function tokenRoute(query: URLSearchParams, dialect: TokenRoute['dialect']): TokenRoute | Refusal {
  const refused = (text: string): Refusal => ({ ...refuse(400, text), dialect });
  const parameters = readParameters(query);
  if (typeof parameters === 'string') return refused(`parameter ${parameters} is given more than once`);
  const resource = parameters.get('resource') ?? '';
  if (resource.trim() === '') return refused('Required audience parameter not specified: parameter resource is missing or empty');
  if (resource.length > longestResource) return refused(`parameter resource is longer than ${longestResource} characters`);
  const given = Object.entries(selectors).filter(([name]) => (parameters.get(name) ?? '') !== '');
  if (given.length > 1) return refused(`${given.map(([name]) => name).join(' and ')} exclude each other: give one`);
  const [first] = given;
  const xmsCc = parameters.get('xms_cc');
  return {
    kind: 'token',
    dialect,
    resource,
    selector: first === undefined ? undefined : { name: first[1], value: parameters.get(first[0]) ?? '' },
    xmsCc: xmsCc === '' ? undefined : xmsCc,
    bypass: parameters.get('bypass_cache')?.toLowerCase() === 'true',
  };
}

function passRoute(path: string, query: URLSearchParams, names: readonly string[]): PassRoute | Refusal {
  const parameters = readParameters(query);
  if (typeof parameters === 'string') return refuse(400, `parameter ${parameters} is given more than once`);
  const kept = names
    .map((name) => [name, parameters.get(name)] as const)
    .filter((pair): pair is readonly [string, string] => pair[1] !== undefined);
  return { kind: 'pass', path, query: Object.fromEntries(kept) };
}

/** By lower-case name, so that a `Client_Id` is never overlooked; the name that came twice is returned instead. */
function readParameters(query: URLSearchParams): Map<string, string> | string {
  const parameters = new Map<string, string>();
  for (const [key, value] of query) {
    const name = key.toLowerCase();
    if (parameters.has(name)) return name;
    parameters.set(name, value);
  }
  return parameters;
}

const refuse = (status: Refusal['status'], text: string): Refusal => ({ kind: 'refusal', dialect: 'imds', status, text });

const isPlain = (segment: string) => /^[a-z0-9_.-]+$/.test(segment) && !/^\.+$/.test(segment);

const isAddress = (hostname: string) => hostname === 'localhost' || hostname.startsWith('[') || /^\d+\.\d+\.\d+\.\d+$/.test(hostname);

/** Time depends on the length of what was sent only. */
function equalInConstantTime(sent: string, secret: string): boolean {
  let difference = sent.length ^ secret.length;
  for (let i = 0; i < sent.length; i += 1) difference |= sent.charCodeAt(i) ^ secret.charCodeAt(i % secret.length);
  return difference === 0;
}
