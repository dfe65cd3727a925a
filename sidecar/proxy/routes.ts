// Which requests mean what: the route table of design 5 as a pure function. Route first, method second, headers third: some SDKs read a
// 400 on a path that does not exist as "IMDSv2 is there". What goes upstream is built from this table alone, never from the request's text.
import type { Selector, SelectorName } from '../identities/choose.ts';

export interface Incoming {
  method: string;
  headers: Pick<Headers, 'get'>;
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

/** What a URL means, before its request is looked at: the part that depends on the URL alone, and so can be remembered. */
export interface Plan {
  route: Route;
  /** Which rules for method and headers come before the route. */
  guard: 'none' | 'imds' | 'appservice';
  /** The Host is a name: a web page that had its own name resolve to this address (DNS rebinding) still sends that. */
  foreignHost: boolean;
}

/** `url` is canonical by the URL standard. */
export function plan(url: URL, settings: RouteSettings): Plan {
  const { pathname, searchParams } = url;
  const foreignHost = !isAddress(url.hostname);
  const planned = (guard: Plan['guard'], route: Route): Plan => ({ guard, route, foreignHost });
  if (/%2f|%5c/i.test(pathname)) return planned('none', refuse(400, 'an encoded slash is not accepted in a path'));
  const original = pathname.split('/').filter((segment) => segment !== '');
  const segments = original.map((segment) => segment.toLowerCase());
  const path = segments.join('/');

  if (path === 'nonce') return planned('none', { kind: 'nonce' });
  if (path === 'metadata/identity/oauth2/token') return planned('imds', tokenRoute(searchParams, 'imds'));
  if (path === 'msi/token' && settings.identityHeader !== undefined) return planned('appservice', tokenRoute(searchParams, 'appservice'));
  const parameters = Object.hasOwn(passTable, path) ? passTable[path] : undefined;
  if (parameters !== undefined) return planned('imds', passRoute(`/${path}`, searchParams, parameters));
  if (segments[0] === 'metadata' && segments[1] === 'instance' && segments.slice(2).every(isPlain)) {
    if (settings.blockInstanceMetadata)
      return planned('none', refuse(403, 'Request blocked by the identity proxy of this pod: instance metadata is switched off'));
    // Leaves of the instance document have capitals in their names; the fixed part is ours.
    return planned('imds', passRoute(['/metadata/instance', ...original.slice(2)].join('/'), searchParams, instanceParameters));
  }
  return planned('none', refuse(404, 'this path is not served'));
}

/** Method and headers, as IMDS wants them. Local and at once: probes of SDKs wait a second at most. */
export function admit({ guard, route, foreignHost }: Plan, request: Incoming, settings: RouteSettings): Route {
  if (route.kind === 'refusal' && guard === 'none') return route;
  const dialect = guard === 'appservice' ? 'appservice' : 'imds';
  if (request.method !== 'GET') return refuse(405, 'only GET is served here', dialect);
  if (guard === 'none') return route;
  if (guard === 'imds') {
    const metadata = request.headers.get('metadata');
    if (metadata !== 'true' && metadata?.toLowerCase() !== 'true') return refuse(400, 'Required metadata header not specified');
    if (request.headers.get('x-forwarded-for') !== null) return refuse(400, 'a request with X-Forwarded-For is not accepted');
  } else if (!equalInConstantTime(request.headers.get('x-identity-header') ?? '', settings.identityHeader ?? '')) {
    return refuse(401, 'the X-IDENTITY-HEADER is missing or wrong', dialect);
  }
  if (foreignHost) return refuse(400, 'the Host header has to be an IP address or localhost', dialect);
  return route;
}

function tokenRoute(query: URLSearchParams, dialect: TokenRoute['dialect']): TokenRoute | Refusal {
  const parameters = readParameters(query);
  if (typeof parameters === 'string') return refuse(400, `parameter ${parameters} is given more than once`, dialect);
  const resource = parameters.get('resource') ?? '';
  if (resource.trim() === '')
    return refuse(400, 'Required audience parameter not specified: parameter resource is missing or empty', dialect);
  if (resource.length > longestResource) return refuse(400, `parameter resource is longer than ${longestResource} characters`, dialect);
  const given = Object.entries(selectors).filter(([name]) => (parameters.get(name) ?? '') !== '');
  if (given.length > 1) return refuse(400, `${given.map(([name]) => name).join(' and ')} exclude each other: give one`, dialect);
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

function refuse(status: Refusal['status'], text: string, dialect: Refusal['dialect'] = 'imds'): Refusal {
  return { kind: 'refusal', dialect, status, text };
}

const isPlain = (segment: string) => /^[a-z0-9_.-]+$/.test(segment) && !/^\.+$/.test(segment);

const isAddress = (hostname: string) => hostname === 'localhost' || hostname.startsWith('[') || /^\d+\.\d+\.\d+\.\d+$/.test(hostname);

/** Time depends on the length of what was sent only. */
function equalInConstantTime(sent: string, secret: string): boolean {
  let difference = sent.length ^ secret.length;
  for (let i = 0; i < sent.length; i += 1) difference |= sent.charCodeAt(i) ^ secret.charCodeAt(i % secret.length);
  return difference === 0;
}
