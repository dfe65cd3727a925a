// What each request means, as a pure function. The path is decided first, the method second, the headers third, because some SDKs take a
// 400 on a path that does not exist for "IMDSv2 is there" (docs/reference/imds.md). Paths of requests to IMDS are built from the table in
// imds-paths.ts, never from the text of a request.
import type { Selector } from '../../api/identity-choice.ts';
import { sidecarStatusPath } from '../../api/sidecar-status.ts';
import type { BodyKind, PassedPath } from './imds-paths.ts';
import { instancePath, isAt, passedPaths } from './imds-paths.ts';
import type { Parameters } from './parameters.ts';
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

/** A POST that is passed on once its body is read. */
export interface PostRoute extends Omit<PassRoute, 'kind'> {
  kind: 'post';
  body: BodyKind;
}

export interface ErrorRoute {
  kind: 'error';
  protocol: Protocol;
  status: 400 | 401 | 403 | 404 | 405 | 500;
  message: string;
  /** Of a 405. */
  allow?: readonly string[];
}

export type Route = TokenRoute | PassRoute | PostRoute | ErrorRoute | { kind: 'nonce' } | { kind: 'status' };

export interface RouteSettings {
  /** Checks X-IDENTITY-HEADER. Undefined where the App Service protocol is off. */
  isIdentityHeader: ((sent: string) => boolean) | undefined;
  blockInstanceMetadata: boolean;
}

const maxResourceLength = 4096;
const statusPath = sidecarStatusPath.slice(1);

/** What a URL means before its request is read. It depends on the URL alone, and so can be cached. */
export interface Target {
  /** What a request means, by its method. */
  routes: { GET?: Route; POST?: Route };
  /** The rules for method and headers that come before the route. `host`: the Host alone. */
  rules: 'none' | 'host' | Protocol;
  /** The accepted Host that the URL was made of; undefined where it is not one. A header that is equal to it needs no more checks. */
  ownHost: string | undefined;
}

/** `url` is in the normal form of the URL standard. */
export function parseTarget(url: URL, settings: RouteSettings): Target {
  const { pathname, searchParams } = url;
  const ownHost = isOwnHost(url.host) ? url.host : undefined;
  const target = (rules: Target['rules'], route: Route): Target => ({ routes: { GET: route }, rules, ownHost });
  if (/%2f|%5c/i.test(pathname)) return target('none', errorRoute(400, 'an encoded slash is not accepted in a path'));
  const original = pathname.split('/').filter((segment) => segment !== '');
  const segments = original.map((segment) => segment.toLowerCase());
  const path = segments.join('/');

  if (path === 'nonce') return target('none', { kind: 'nonce' });
  if (path === statusPath) return target('imds', { kind: 'status' });
  if (path === 'metadata/identity/oauth2/token') return target('imds', tokenRoute(searchParams, 'imds'));
  if (path === 'msi/token' && settings.isIdentityHeader !== undefined) return target('appservice', tokenRoute(searchParams, 'appservice'));
  // On a node this path is for its processes. A pod was answered so by NMI (docs/reference/aad-pod-identity.md#the-endpoint-for-hosts).
  if (segments[0] === 'host' && segments[1] === 'token')
    return target('none', errorRoute(500, 'request remote address is not from a host'));
  const passed = segments.every(isPlain) ? passedPaths.filter((one) => isAt(one, segments)) : [];
  const [first] = passed;
  if (first === undefined) return target('none', errorRoute(404, 'this path is not served'));
  if (settings.blockInstanceMetadata && first.path === instancePath)
    return target('none', errorRoute(403, 'Request blocked by the identity proxy of this pod: instance metadata is switched off'));
  const routes = Object.fromEntries(passed.map((one) => [one.method, passRoute(one, original, searchParams)]));
  return { routes, rules: first.withoutHeader === true ? 'host' : 'imds', ownHost };
}

/** Checks method and headers as IMDS does. The result is immediate: probes of SDKs wait for a second at most. */
export function checkRequest({ rules, routes, ownHost }: Target, request: RequestHead, settings: RouteSettings): Route {
  if (rules === 'none' && routes.GET?.kind === 'error') return routes.GET;
  const protocol = rules === 'appservice' ? 'appservice' : 'imds';
  const route = request.method === 'GET' || request.method === 'POST' ? routes[request.method] : undefined;
  if (route === undefined) {
    const allow = Object.keys(routes);
    return { ...errorRoute(405, `only ${allow.join(' and ')} ${allow.length === 1 ? 'is' : 'are'} served here`, protocol), allow };
  }
  if (rules === 'none') return route;
  if (rules === 'imds') {
    const metadata = request.headers.get('metadata');
    if (metadata !== 'true' && metadata?.toLowerCase() !== 'true') return errorRoute(400, 'Required metadata header not specified');
    if (request.headers.get('x-forwarded-for') !== null) return errorRoute(400, 'a request with X-Forwarded-For is not accepted');
  } else if (rules === 'appservice' && settings.isIdentityHeader?.(request.headers.get('x-identity-header') ?? '') !== true) {
    return errorRoute(401, 'the X-IDENTITY-HEADER is missing or wrong', protocol);
  }
  const host = request.headers.get('host') ?? '';
  return host === ownHost || isOwnHost(host) ? route : errorRoute(400, hostMessage(host), protocol);
}

/** The text of a 400 about this Host header; an absent one is empty. */
export function hostMessage(host: string): string {
  const form = 'it has to be one IP address, in its usual form, or localhost';
  return host === '' ? `the request has no Host header: ${form}` : `the Host header is not accepted: ${form}`;
}

function tokenRoute(query: URLSearchParams, protocol: Protocol): TokenRoute | ErrorRoute {
  const parameters = readParameters(query, looseName);
  if ('duplicate' in parameters) {
    const message = `${duplicateMessage(parameters.duplicate)}: names are compared without case, "-", "_" and blanks`;
    return errorRoute(400, message, protocol);
  }
  const resource = parameters.get('resource') ?? '';
  if (resource.trim() === '')
    return errorRoute(
      400,
      `Required audience parameter not specified: parameter resource is missing or empty. ${sentNames(query)}`,
      protocol,
    );
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

/** `original`: the segments of the path as they came. */
function passRoute(passed: PassedPath, original: readonly string[], query: URLSearchParams): PassRoute | PostRoute | ErrorRoute {
  const parameters = readParameters(query, lowerCaseName);
  if ('duplicate' in parameters) return errorRoute(400, duplicateMessage(parameters.duplicate));
  // What is below keeps its case: the names of leaves of the instance document have capitals.
  const path = [passed.path, ...original.slice(passed.path.split('/').length - 1)].join('/');
  const target = { path, query: passed.parameters === 'all' ? Object.fromEntries(query) : pick(parameters, passed.parameters) };
  return passed.body === undefined ? { kind: 'pass', ...target } : { kind: 'post', ...target, body: passed.body };
}

function pick(parameters: Parameters, names: readonly string[]): Record<string, string> {
  const pairs = names.map((name) => [name, parameters.get(name)] as const);
  return Object.fromEntries(pairs.filter((pair): pair is readonly [string, string] => pair[1] !== undefined));
}

/** For names that were spoiled on their way, such as `amp;resource` out of HTML. */
function sentNames(query: URLSearchParams): string {
  const names = [...query.keys()].slice(0, 10).map((name) => JSON.stringify(name.slice(0, 40)));
  return names.length === 0 ? 'The request has no parameters' : `The request has ${names.join(', ')}`;
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
