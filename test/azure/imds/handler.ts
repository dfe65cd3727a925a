// The Instance Metadata Service of one machine: it checks the route first, then headers, then parameters.
import type { Context, Handler, Outcome } from '../core/handler.ts';
import { only } from '../core/handler.ts';
import type { Answer, Incoming } from '../core/messages.ts';
import { isRecord, json, parseJson, pathSegments, text } from '../core/messages.ts';
import { answerCollateral, answerQuote } from './collateral.ts';
import { identityNotFound, invalid, problem, throttled } from './errors.ts';
import { answerInstance } from './instance.ts';
import { charge } from './limits.ts';
import { visibleIdentities } from './select.ts';
import { answerToken } from './token.ts';
import { apiVersions, eventVersions } from './versions.ts';

type Route = {
  readonly verbs: readonly string[];
  readonly category: 'identity' | 'other';
  /** The first api-version that has it; null: works without one. */
  readonly since: string | null;
  /** Where they are not those of all. */
  readonly versions?: readonly string[];
  /** Clients do not send `Metadata: true`. */
  readonly withoutHeader?: boolean;
  readonly answer: (request: Incoming, context: Context, rest: readonly string[]) => Outcome;
};

const plain = (answer: (request: Incoming, context: Context) => Answer) => (request: Incoming, context: Context) =>
  only(answer(request, context));

/** By the path below `/metadata`, or the whole path where it is not below. */
const routes: Readonly<Record<string, Route>> = {
  'identity/oauth2/token': { verbs: ['GET'], category: 'identity', since: '2018-02-01', answer: answerToken },
  'identity/info': { verbs: ['GET'], category: 'identity', since: '2018-02-01', answer: plain(identityInfo) },
  versions: { verbs: ['GET'], category: 'other', since: null, answer: plain(() => json(200, { apiVersions })) },
  instance: {
    verbs: ['GET'],
    category: 'other',
    since: '2017-03-01',
    answer: (request, context, rest) => only(answerInstance(request, context, rest)),
  },
  'attested/document': { verbs: ['GET'], category: 'other', since: '2018-10-01', answer: plain(attestedDocument) },
  loadbalancer: {
    verbs: ['GET'],
    category: 'other',
    since: '2020-10-01',
    answer: plain(() =>
      json(404, {
        error: 'No load balancer metadata is found. Please check if your VM is using any non-basic SKU load balancer and retry later.',
      }),
    ),
  },
  scheduledevents: {
    verbs: ['GET', 'POST'],
    category: 'other',
    since: '2017-08-01',
    versions: [...apiVersions, ...eventVersions],
    answer: plain(scheduledEvents),
  },
  thim: { verbs: ['GET'], category: 'other', since: null, answer: (request, _context, rest) => only(answerCollateral(request, rest)) },
  '/acc/tdquote': { verbs: ['POST'], category: 'other', since: null, withoutHeader: true, answer: plain(answerQuote) },
};

function identityInfo(_request: Incoming, context: Context): Answer {
  const { system, user } = visibleIdentities(context.state, context.vm, context.now);
  if (system === null && Object.keys(user).length === 0) return identityNotFound();
  return json(200, { tenantId: system?.tenantId ?? context.state.config.defaults.tenant });
}

function attestedDocument(request: Incoming, context: Context): Answer {
  const resource = context.vm === null ? undefined : context.state.resources.get(context.vm.resource);
  const time = (ms: number) => new Date(ms).toISOString();
  const timeStamp = { createdOn: time(context.now), expiresOn: time(context.now + 6 * 3600_000) };
  const document = { nonce: request.query.get('nonce') ?? '', subscriptionId: resource?.subscription ?? '', timeStamp };
  return json(200, { encoding: 'pkcs7', signature: context.keys.attest(JSON.stringify(document)) });
}

function scheduledEvents(request: Incoming, { state }: Context): Answer {
  const scheduled = state.config.settings.imds.scheduledEvents;
  if (request.method === 'GET') {
    const Events = scheduled.map((EventId) => ({ EventId, EventType: 'Reboot', EventStatus: 'Scheduled', ResourceType: 'VirtualMachine' }));
    return json(200, { DocumentIncarnation: 1, Events });
  }
  const sent = parseJson(request.body);
  const starts = isRecord(sent) && Array.isArray(sent.StartRequests) ? sent.StartRequests : [];
  const known = starts.every((start: unknown) => isRecord(start) && typeof start.EventId === 'string' && scheduled.includes(start.EventId));
  return starts.length > 0 && known ? text(200, '') : json(400, { error: 'Bad request. There is no event to start.' });
}

/** These have paths below them. */
const trees = ['instance', 'thim'];

function findRoute(path: string): { route: Route; rest: readonly string[] } | null {
  const whole = routes[path.toLowerCase()];
  if (whole !== undefined) return { route: whole, rest: [] };
  const segments = pathSegments(path);
  if (segments === null || segments[0]?.toLowerCase() !== 'metadata') return null;
  const below = segments.slice(1);
  // An empty segment is a trailing or doubled slash: an unknown path here. With `--paths lenient` it is removed before.
  if (below.includes('')) return null;
  const route = routes[below.join('/').toLowerCase()];
  if (route !== undefined) return { route, rest: [] };
  const tree = trees.find((name) => name === below[0]?.toLowerCase());
  const found = tree === undefined ? undefined : routes[tree];
  return found === undefined ? null : { route: found, rest: below.slice(1) };
}

/** The newer credential paths: a client takes exactly 400 without the header as "present". */
function newerCredentials(request: Incoming, context: Context): Answer | null {
  const newer = /^\/metadata\/identity\/(getplatformmetadata|issuecredential)$/i.test(request.path);
  if (!newer || !context.state.config.settings.imds.v2) return null;
  return hasMetadataHeader(request) ? problem(500, 'server_error', 'Issuing credentials is not emulated') : missingHeader(context);
}

function hasMetadataHeader(request: Incoming): boolean {
  return request.headers.metadata?.toLowerCase() === 'true';
}

function missingHeader(context: Context): Answer {
  return problem(400, context.state.config.settings.imds.headerError, 'Required metadata header not specified');
}

/** What every route requires of a request. */
function requestProblem(request: Incoming, context: Context, route: Route): Answer | null {
  if (request.headers['x-forwarded-for'] !== undefined)
    return problem(400, 'bad_request', 'Requests with the X-Forwarded-For header are not accepted');
  if (!hasMetadataHeader(request) && route.withoutHeader !== true) return missingHeader(context);
  const names = [...request.query.keys()].map((name) => name.toLowerCase());
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) return invalid(`The query parameter ${twice} is given more than once`);
  if (route.since === null) return null;
  const version = request.query.get('api-version');
  const { since, versions = apiVersions } = route;
  if (version !== null && version >= since && versions.includes(version)) return null;
  const why =
    version === null || version === '' ? 'api-version was not specified in the request' : `api-version ${version} is not supported`;
  return json(400, { error: `Bad request. ${why}`, 'newest-versions': apiVersions.slice(-3).reverse() });
}

export const imdsHandler: Handler = (request, context) => {
  const { answer, changes } = answerRequest(request, context);
  return { answer: { ...answer, headers: { server: context.state.config.settings.imds.server, ...answer.headers } }, changes };
};

function answerRequest(request: Incoming, context: Context): Outcome {
  const found = findRoute(request.path);
  if (found === null) return only(newerCredentials(request, context) ?? json(404, { error: 'not_found', error_description: 'Not found' }));
  const { route, rest } = found;
  if (!route.verbs.includes(request.method)) {
    return only(problem(405, 'method_not_allowed', `The method ${request.method} is not allowed`, { allow: route.verbs.join(', ') }));
  }
  const refused = requestProblem(request, context, route);
  if (refused !== null) return only(refused);
  const charged = charge(context, route.category);
  if (charged.refused) return { answer: throttled(), changes: charged.changes };
  const { answer, changes } = route.answer(request, context, rest);
  return { answer, changes: [...charged.changes, ...changes] };
}
