// Every annotation that a user may put on a pod: what it accepts, in one table (spec/injection.md 2.4). The webhook denies a bad value and
// warns about a key of our prefix that is not here.
import type { Interception } from '../api/injection.ts';
import { annotationPrefix, annotations } from '../api/names.ts';
import { logLevels } from '../lib/log.ts';
import { parseQuantity } from './quantity.ts';

interface AnnotationRule<T> {
  key: string;
  /** One line for docs/annotations.md. */
  about: string;
  /** Accepted values, for the message of a denial and the documentation. */
  accepts: string;
  /** Undefined refuses the text. */
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

export const interceptions: readonly Interception[] = ['redirect', 'none'];

export const podAnnotations = {
  inject: oneOf(annotations.inject, ['true', 'false'], '`false` leaves the pod alone: its token requests go to IMDS as from the node'),
  interception: oneOf(
    annotations.interception,
    interceptions,
    '`none` redirects nothing, needs no NET_ADMIN, and sets `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` in every container instead; also on a namespace, for all its pods',
  ),
  defaultIdentity: {
    key: annotations.defaultIdentity,
    about: 'which of the bound identities answers requests that name none; without it the first by namespace, binding and name',
    accepts: 'the name of an AzureIdentity',
    parse: (text) => (/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(text) ? text : undefined),
  } satisfies AnnotationRule<string>,
  proxyCpuRequest: quantity('proxy-cpu-request', 'CPU request of the token proxy'),
  proxyCpuLimit: quantity('proxy-cpu-limit', 'CPU limit of the token proxy'),
  proxyMemoryRequest: quantity('proxy-memory-request', 'memory request of the token proxy'),
  proxyMemoryLimit: quantity('proxy-memory-limit', 'memory limit of the token proxy'),
  proxyLogLevel: oneOf(`${annotationPrefix}proxy-log-level`, logLevels, 'log level of the token proxy'),
} as const;

type Rules = typeof podAnnotations;
/** The parsed values of those that the pod carries. */
export type PodOptions = { [K in keyof Rules]?: Rules[K] extends AnnotationRule<infer T> ? T : never };

export class AnnotationError extends Error {
  override readonly name = 'AnnotationError';
}

/** Throws {@link AnnotationError} for the first value that is not accepted. */
export function parsePodAnnotations(map: Readonly<Record<string, string>>): PodOptions {
  const options: Record<string, unknown> = {};
  for (const [name, rule] of Object.entries(podAnnotations)) {
    const text = Object.hasOwn(map, rule.key) ? map[rule.key] : undefined;
    if (text === undefined) continue;
    const value = rule.parse(text);
    if (value === undefined) throw new AnnotationError(refusal(rule.key, text, rule.accepts));
    options[name] = value;
  }
  const parsed = options as PodOptions;
  refuseAboveLimit(podAnnotations.proxyCpuRequest.key, parsed.proxyCpuRequest, parsed.proxyCpuLimit);
  refuseAboveLimit(podAnnotations.proxyMemoryRequest.key, parsed.proxyMemoryRequest, parsed.proxyMemoryLimit);
  return parsed;
}

function refuseAboveLimit(key: string, request: string | undefined, limit: string | undefined): void {
  if (request === undefined || limit === undefined) return;
  if ((parseQuantity(request) ?? 0) > (parseQuantity(limit) ?? 0))
    throw new AnnotationError(refusal(key, request, `a quantity up to the limit ${limit}`));
}

/** Keys under our prefix that mean nothing on a pod: most likely misspelt. */
export function unknownAnnotations(map: Readonly<Record<string, string>>): string[] {
  const known = new Set<string>([annotations.status, ...Object.values(podAnnotations).map((rule) => rule.key)]);
  return Object.keys(map).filter((key) => key.startsWith(annotationPrefix) && !known.has(key));
}

export function refusal(key: string, text: string, accepts: string): string {
  return `annotation ${key} is ${JSON.stringify(text.slice(0, 60))}, accepted is ${accepts}`;
}
