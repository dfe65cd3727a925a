// What a request to the node endpoint means. Checks, texts and statuses are those of NMI (docs/reference/aad-pod-identity.md#the-endpoint-for-hosts). Pure.
import type { Selector } from '../../api/identity-choice.ts';
import { looseName, readParameters, readSelector } from '../proxy/parameters.ts';

export interface HostTokenRoute {
  kind: 'token';
  namespace: string;
  pod: string;
  resource: string;
  selector: Selector | undefined;
}

export type HostRoute = HostTokenRoute | { kind: 'health' } | { kind: 'error'; status: 400 | 404 | 500; message: string };

const healthPath = '/healthz';
/** NMI answers every path that starts so. */
const tokenPathPrefix = '/host/token';
const maxNameLength = 253;

/** `from`: address of the caller, or undefined where the connection is gone. */
export function parseHostRequest(url: URL, headers: Pick<Headers, 'get'>, from: string | undefined): HostRoute {
  if (url.pathname === healthPath) return { kind: 'health' };
  if (!url.pathname.startsWith(tokenPathPrefix)) return error(404, '404 page not found');
  const namespace = headers.get('podns') ?? '';
  const pod = headers.get('podname') ?? '';
  if (namespace === '' || pod === '') return error(400, "missing 'podname' and 'podns' from request header");
  // An NMI that is gone can leave a rule that leads requests of pods here.
  if (!isLoopback(from)) return error(500, 'request remote address is not from a host');
  // A browser or parser on the node can be led here by a name of somebody else.
  if (!isOwnHost(url.hostname)) return error(400, 'the Host header is not accepted: ask localhost or a loopback address');
  const parameters = readParameters(url.searchParams, looseName);
  if ('duplicate' in parameters) return error(400, `parameter ${parameters.duplicate} is given more than once`);
  const resource = parameters.get('resource') ?? '';
  if (resource === '') return error(400, 'parameter resource cannot be empty');
  if (namespace.length > maxNameLength || pod.length > maxNameLength)
    return error(400, `podns and podname have at most ${maxNameLength} characters`);
  // NMI ignores an unknown name such as object_id, and so gives the token of the default identity.
  const selector = readSelector(parameters);
  if (selector !== undefined && 'message' in selector) return error(400, selector.message);
  return { kind: 'token', namespace, pod, resource, selector };
}

const error = (status: 400 | 404 | 500, message: string) => ({ kind: 'error', status, message }) as const;

const isOwnHost = (hostname: string): boolean => /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(hostname);

/** IPv4 addresses can come in their IPv6 form. */
function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(?:::ffff:)?127(?:\.\d{1,3}){3}$|^::1$/i.test(address);
}
