// What each request means, as a pure function. The path is decided first, the method second, the headers third, because some SDKs take a
// 400 on a path that does not exist for "IMDSv2 is there" (docs/reference/imds.md). Requests to IMDS are built from the table in this file
// alone, never from the text of a request.
import type { Selector } from '../../api/identity-choice.ts';
import { looseName, lowerCaseName, readParameters, readSelector } from './parameters.ts';

export interface RequestHead {
  method: string;
  headers: Pick<Headers, 'get'>;
}

/** The protocol that the caller speaks, which decides the form of its responses. */
export type Protocol = 'imds' | 'appservice';

export interface TokenRoute {
  kind: 'token';
  protocol: Protocol;
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

export interface ErrorRoute {
  kind: 'error';
  protocol: Protocol;
  status: 400 | 401 | 403 | 404 | 405 | 500;
  message: string;
}

export type Route = TokenRoute | PassRoute | ErrorRoute | { kind: 'nonce' };

export interface RouteSettings {
  /** Checks X-IDENTITY-HEADER. Undefined where the App Service protocol is off. */
  isIdentityHeader: ((sent: string) => boolean) | undefined;
  blockInstanceMetadata: boolean;
}

const documentParameters = ['api-version', 'format'];
/** Paths that are passed to IMDS, with the parameters that are passed along. */
const passTable: Record<string, readonly string[]> = {
  'metadata/identity/info': ['api-version'],
  'metadata/versions': [],
  'metadata/attested/document': [...documentParameters, 'nonce'],
  'metadata/loadbalancer': documentParameters,
  'metadata/scheduledevents': ['api-version'],
};
const instanceParameters = [...documentParameters, 'extended'];

const maxResourceLength = 4096;

/** What a URL means before its request is read. It depends on the URL alone, and so can be cached. */
export interface Target {
  route: Route;
  /** The rules for method and headers that come before the route. */
  rules: 'none' | Protocol;
  /** The accepted Host that the URL was made of; undefined where it is not one. A header that is equal to it needs no more checks. */
  ownHost: string | undefined;
}

/** `url` is in the normal form of the URL standard. */
export function parseTarget(url: URL, settings: RouteSettings): Target {
  const { pathname, searchParams } = url;
  const ownHost = isOwnHost(url.host) ? url.host : undefined;
  const target = (rules: Target['rules'], route: Route): Target => ({ route, rules, ownHost });
  if (/%2f|%5c/i.test(pathname)) return target('none', errorRoute(400, 'an encoded slash is not accepted in a path'));
  const original = pathname.split('/').filter((segment) => segment !== '');
  const segments = original.map((segment) => segment.toLowerCase());
  const path = segments.join('/');

  if (path === 'nonce') return target('none', { kind: 'nonce' });
  if (path === 'metadata/identity/oauth2/token') return target('imds', tokenRoute(searchParams, 'imds'));
  if (path === 'msi/token' && settings.isIdentityHeader !== undefined) return target('appservice', tokenRoute(searchParams, 'appservice'));
  const parameters = Object.hasOwn(passTable, path) ? passTable[path] : undefined;
  if (parameters !== undefined) return target('imds', passRoute(`/${path}`, searchParams, parameters));
  if (segments[0] === 'metadata' && segments[1] === 'instance' && segments.slice(2).every(isPlain)) {
    if (settings.blockInstanceMetadata)
      return target('none', errorRoute(403, 'Request blocked by the identity proxy of this pod: instance metadata is switched off'));
    // The names of leaves of the instance document have capitals.
    return target('imds', passRoute(['/metadata/instance', ...original.slice(2)].join('/'), searchParams, instanceParameters));
  }
  // On a node this path is for its processes. A pod was answered so by NMI (docs/reference/aad-pod-identity.md#the-endpoint-for-hosts).
  if (segments[0] === 'host' && segments[1] === 'token')
    return target('none', errorRoute(500, 'request remote address is not from a host'));
  return target('none', errorRoute(404, 'this path is not served'));
}

/** Checks method and headers as IMDS does. The result is immediate: probes of SDKs wait for a second at most. */
export function checkRequest({ rules, route, ownHost }: Target, request: RequestHead, settings: RouteSettings): Route {
  if (route.kind === 'error' && rules === 'none') return route;
  const protocol = rules === 'appservice' ? 'appservice' : 'imds';
  if (request.method !== 'GET') return errorRoute(405, 'only GET is served here', protocol);
  if (rules === 'none') return route;
  if (rules === 'imds') {
    const metadata = request.headers.get('metadata');
    if (metadata !== 'true' && metadata?.toLowerCase() !== 'true') return errorRoute(400, 'Required metadata header not specified');
    if (request.headers.get('x-forwarded-for') !== null) return errorRoute(400, 'a request with X-Forwarded-For is not accepted');
  } else if (settings.isIdentityHeader?.(request.headers.get('x-identity-header') ?? '') !== true) {
    return errorRoute(401, 'the X-IDENTITY-HEADER is missing or wrong', protocol);
  }
  const host = request.headers.get('host') ?? '';
  if (host !== ownHost && !isOwnHost(host))
    return errorRoute(400, 'the Host header has to be one IP address, in its usual form, or localhost', protocol);
  return route;
}

function tokenRoute(query: URLSearchParams, protocol: Protocol): TokenRoute | ErrorRoute {
  const parameters = readParameters(query, looseName);
  if ('duplicate' in parameters) {
    const message = `${duplicateMessage(parameters.duplicate)}: names are compared without case, "-", "_" and blanks`;
    return errorRoute(400, message, protocol);
  }
  const resource = parameters.get('resource') ?? '';
  if (resource.trim() === '')
    return errorRoute(400, 'Required audience parameter not specified: parameter resource is missing or empty', protocol);
  if (resource.length > maxResourceLength)
    return errorRoute(400, `parameter resource is longer than ${maxResourceLength} characters`, protocol);
  const selector = readSelector(parameters);
  if (selector !== undefined && 'message' in selector) return errorRoute(400, selector.message, protocol);
  const xmsCc = parameters.get(looseName('xms_cc'));
  return {
    kind: 'token',
    protocol,
    resource,
    selector,
    xmsCc: xmsCc === '' ? undefined : xmsCc,
    bypass: parameters.get(looseName('bypass_cache'))?.toLowerCase() === 'true',
  };
}

function passRoute(path: string, query: URLSearchParams, names: readonly string[]): PassRoute | ErrorRoute {
  const parameters = readParameters(query, lowerCaseName);
  if ('duplicate' in parameters) return errorRoute(400, duplicateMessage(parameters.duplicate));
  const kept = names
    .map((name) => [name, parameters.get(name)] as const)
    .filter((pair): pair is readonly [string, string] => pair[1] !== undefined);
  return { kind: 'pass', path, query: Object.fromEntries(kept) };
}

const duplicateMessage = (name: string) => `parameter ${name} is given more than once`;

function errorRoute(status: ErrorRoute['status'], message: string, protocol: Protocol = 'imds'): ErrorRoute {
  return { kind: 'error', protocol, status, message };
}

const isPlain = (segment: string) => /^[a-z0-9_.-]+$/.test(segment) && !/^\.+$/.test(segment);

/**
 * A web page that makes its own name resolve to this address (DNS rebinding) still sends that name. The header is compared as it came: the URL of
 * a request has the decimal, octal and hexadecimal forms of an address resolved, and of two Host headers the first one only.
 */
const isOwnHost = (host: string) => ownHostPattern.test(host);
const octet = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const ownHostPattern = new RegExp(`^(?:${octet}(?:\\.${octet}){3}|\\[[\\da-f:.]+\\]|localhost)(?::\\d{1,5})?$`, 'i');
