// The annotations that users may put on a pod, some of them on a namespace too, and the values that each accepts. docs/annotations.md shows this
// table; a test compares them.
import type { Interception } from '../../../api/injection.ts';
import { annotationPrefix, annotations, proxyPort } from '../../../api/names.ts';
import { logLevels } from '../../../common/log-levels.ts';
import { parseQuantity } from '../../kube/quantity.ts';
import type { StringMap } from './raw-pod.ts';

interface AnnotationRule<T> {
  key: string;
  /** One line for docs/annotations.md. */
  about: string;
  /** Accepted values, for the message of a denial and for docs/annotations.md. */
  accepts: string;
  /** Undefined for text that is not accepted. */
  parse(text: string): T | undefined;
}

const quantity = (key: string, about: string): AnnotationRule<string> => ({
  key: `${annotationPrefix}${key}`,
  about,
  accepts: 'a positive quantity such as 20m, 0.1 or 64Mi',
  parse: (text) => ((parseQuantity(text) ?? 0) > 0 ? text : undefined),
});

const oneOf = <const T extends string>(key: string, values: readonly T[], about: string): AnnotationRule<T> => ({
  key,
  about,
  accepts: values.join(' or '),
  parse: (text) => values.find((value) => value === text),
});

const interceptions: readonly Interception[] = ['redirect', 'none'];

/** 0 for none. The proxy is not root, so the ports below 1024 are closed to it. */
export const metricsPort = {
  accepts: `0 for none, or a port from 1024 to 65535 other than ${proxyPort}`,
  parse(text: string): number | undefined {
    const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
    return port === 0 || (port >= 1024 && port <= 65_535 && port !== proxyPort) ? port : undefined;
  },
};

const proxyAnnotations = {
  proxyCpuRequest: quantity('proxy-cpu-request', 'CPU request of the token proxy'),
  proxyCpuLimit: quantity('proxy-cpu-limit', 'CPU limit of the token proxy'),
  proxyMemoryRequest: quantity('proxy-memory-request', 'memory request of the token proxy'),
  proxyMemoryLimit: quantity('proxy-memory-limit', 'memory limit of the token proxy'),
  proxyLogLevel: oneOf(`${annotationPrefix}proxy-log-level`, logLevels, 'log level of the token proxy'),
  proxyMetricsPort: {
    key: `${annotationPrefix}proxy-metrics-port`,
    about: 'port of the pod on which the token proxy serves `/metrics` and `/healthz`; choose one that no container of the pod listens on',
    ...metricsPort,
  } satisfies AnnotationRule<number>,
} as const;

const initAnnotations = {
  initCpuRequest: quantity('init-cpu-request', 'CPU request of the init container'),
  initCpuLimit: quantity('init-cpu-limit', 'CPU limit of the init container'),
  initMemoryRequest: quantity('init-memory-request', 'memory request of the init container'),
  initMemoryLimit: quantity('init-memory-limit', 'memory limit of the init container'),
} as const;

/** On a namespace they are defaults for its pods. */
const containerAnnotations = { ...proxyAnnotations, ...initAnnotations } as const;

export const podAnnotations = {
  inject: oneOf(annotations.inject, ['true', 'false'], '`false` leaves the pod alone: its token requests go to IMDS as from the node'),
  interception: oneOf(
    annotations.interception,
    interceptions,
    '`none` redirects nothing, needs no NET_ADMIN, and sets `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` in every container instead; also on a namespace, for all its pods',
  ),
  defaultIdentity: {
    key: annotations.defaultIdentity,
    about:
      "which of the bound identities answers requests that name none; a name alone means the pod's namespace first; without it the identity of the first binding: the pod's namespace, then `bindingNamespaces` in their order, within these the oldest",
    accepts: 'the name of an AzureIdentity, or its namespace/name',
    parse: (text) => (/^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\/)?[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(text) ? text : undefined),
  } satisfies AnnotationRule<string>,
  ...containerAnnotations,
} as const;

type Rules = Readonly<Record<string, AnnotationRule<unknown>>>;
type Parsed<R extends Rules> = { [K in keyof R]?: R[K] extends AnnotationRule<infer T> ? T : never };
/** Parsed values of the annotations that the pod carries. */
export type PodOptions = Parsed<typeof podAnnotations>;
/** Parsed values of annotations about the injected containers, of a pod or of a namespace. */
export type ContainerOptions = Parsed<typeof containerAnnotations>;

/** An annotation with a value that is not accepted. The message names both and what is accepted. */
export class AnnotationError extends Error {
  override readonly name = 'AnnotationError';
  readonly code = 'invalid_annotation';
}

/** Throws {@link AnnotationError} for an `inject` annotation that is neither `true` nor `false`. */
export function checkInjectAnnotation(map: StringMap): void {
  const inject = map[annotations.inject];
  if (inject !== undefined) parseAnnotation(podAnnotations.inject, inject);
}

/** Throws {@link AnnotationError} for the first value that is not accepted. */
export function parsePodAnnotations(map: StringMap): PodOptions {
  return parseAnnotations(podAnnotations, map);
}

/** Of a pod that gets nothing but the init container. Throws {@link AnnotationError}. */
export function parseInitAnnotations(map: StringMap): ContainerOptions {
  return parseAnnotations(initAnnotations, map);
}

/** Throws {@link AnnotationError}, which names the namespace. */
export function parseNamespaceAnnotations(map: StringMap, namespace: string): ContainerOptions {
  return parseAnnotations(containerAnnotations, map, `namespace ${namespace}`);
}

const namespaceKeys: ReadonlySet<string> = new Set(Object.values(containerAnnotations).map(({ key }) => key));

/** Of the annotations of a namespace those that are defaults for its pods, not yet parsed. */
export function pickNamespaceAnnotations(map: StringMap): StringMap {
  return Object.fromEntries(Object.entries(map).filter(([key]) => namespaceKeys.has(key)));
}

function parseAnnotations<R extends Rules>(rules: R, map: StringMap, owner?: string): Parsed<R> {
  const options: Record<string, unknown> = {};
  for (const [name, rule] of Object.entries(rules)) {
    const text = map[rule.key];
    if (text !== undefined) options[name] = parseAnnotation(rule, text, owner);
  }
  const parsed = options as Parsed<R> & ContainerOptions;
  for (const [request, limit] of requestsAndLimits) checkLimit(podAnnotations[request].key, parsed[request], parsed[limit], owner);
  return parsed;
}

/** Throws {@link AnnotationError}. `owner` names the object where it is not the pod. */
export function parseAnnotation<T>(rule: AnnotationRule<T>, text: string, owner?: string): T {
  const value = rule.parse(text);
  if (value !== undefined) return value;
  throw notAccepted(rule.key, text, rule.accepts, owner);
}

const requestsAndLimits = [
  ['proxyCpuRequest', 'proxyCpuLimit'],
  ['proxyMemoryRequest', 'proxyMemoryLimit'],
  ['initCpuRequest', 'initCpuLimit'],
  ['initMemoryRequest', 'initMemoryLimit'],
] as const;

function checkLimit(key: string, request: string | undefined, limit: string | undefined, owner?: string): void {
  if (request === undefined || limit === undefined) return;
  if ((parseQuantity(request) ?? 0) > (parseQuantity(limit) ?? 0))
    throw notAccepted(key, request, `a quantity up to the limit ${limit}`, owner);
}

function notAccepted(key: string, text: string, accepts: string, owner?: string): AnnotationError {
  const problem = `annotation ${key} is ${JSON.stringify(text.slice(0, 60))}, accepted is ${accepts}`;
  return new AnnotationError(owner === undefined ? problem : `${owner}: ${problem}`);
}

const known: ReadonlySet<string> = new Set([annotations.status, ...Object.values(podAnnotations).map(({ key }) => key)]);

/** Keys under our prefix that have no effect on a pod; most likely they are misspelt. */
export function unknownAnnotations(map: StringMap): string[] {
  return Object.keys(map).filter((key) => key.startsWith(annotationPrefix) && !known.has(key));
}
