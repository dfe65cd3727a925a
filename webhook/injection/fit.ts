// Requests and limits that satisfy LimitRanges. Pure.
import type { Bound, Bounds, LimitedResource, Quantity } from './limit-ranges.ts';
import { larger, smaller } from './limit-ranges.ts';

export interface Amount {
  readonly request: Quantity;
  readonly limit: Quantity | undefined;
}

export interface FitOptions {
  resource: LimitedResource;
  /** A limit must be there, whatever the bounds say. */
  needsLimit: boolean;
}

/** For a container that needs a limit where nothing says which. A smaller CPU limit throttles the start of the token proxy for seconds. */
export const fallbackLimits: Readonly<Record<LimitedResource, Quantity>> = {
  cpu: { text: '100m', milli: 100 },
  memory: { text: '64Mi', milli: 64_000 * 2 ** 20 },
};

/**
 * The amount that is nearest to the given one and satisfies the bounds. The request is never lowered, since it is what the program needs: with a
 * smaller `max`, or one below `min`, no amount fits.
 */
export function fit({ request, limit }: Amount, bounds: Bounds, { resource, needsLimit }: FitOptions): Amount {
  const atLeast = larger(request, bounds.min);
  const isLimitDue = needsLimit || bounds.max !== undefined || bounds.ratio !== undefined;
  const wanted = limit ?? bounds.default ?? (isLimitDue ? fallbackLimits[resource] : undefined);
  if (wanted === undefined) return { request: atLeast, limit: undefined };
  const fitted = larger(smaller(wanted, bounds.max), atLeast);
  if (bounds.ratio === undefined || !exceeds(fitted, atLeast, bounds.ratio)) return { request: atLeast, limit: fitted };
  const forRatio = smallestRequest(fitted, bounds.ratio, resource);
  return { request: larger(atLeast, smaller(forRatio, fitted)), limit: fitted };
}

/** In which requests are rounded up. */
const units: Readonly<Record<LimitedResource, number>> = { cpu: 1, memory: 1000 * 2 ** 20 };

function smallestRequest(limit: Quantity, ratio: Quantity, resource: LimitedResource): Quantity {
  const unit = units[resource];
  const rounded = Math.ceil((limit.milli * 1000) / ratio.milli / unit) * unit;
  const milli = exceeds(limit, { milli: rounded }, ratio) ? rounded + unit : rounded;
  return { text: textOf(milli, resource), milli };
}

type Milli = Pick<Quantity, 'milli'>;
/** In floating point, as the API server computes it. */
const exceeds = (limit: Milli, request: Milli, ratio: Milli): boolean => (limit.milli / request.milli) * 1000 > ratio.milli;

/** In the form in which the API server writes it. */
export function textOf(milli: number, resource: LimitedResource): string {
  if (resource === 'cpu') return milli % 1000 === 0 ? String(milli / 1000) : `${milli}m`;
  const bytes = Math.ceil(milli / 1000);
  const suffixes = ['', 'Ki', 'Mi', 'Gi', 'Ti'];
  const power = suffixes.findLastIndex((_suffix, index) => bytes > 0 && bytes % 1024 ** index === 0);
  return `${bytes / 1024 ** Math.max(power, 0)}${suffixes[power] ?? ''}`;
}

/** As found in a pod. */
export interface FoundAmount {
  readonly request: Quantity | undefined;
  readonly limit: Quantity | undefined;
}

/** Why the API server refuses an amount, undefined where it does not. */
export function violationOf(amount: FoundAmount, { min, max, ratio }: Bounds): string | undefined {
  return minViolation(amount, min) ?? maxViolation(amount, max) ?? ratioViolation(amount, ratio);
}

function minViolation({ request, limit }: FoundAmount, min: Bound | undefined): string | undefined {
  if (min === undefined) return undefined;
  const bound = `min ${min.text} of LimitRange ${min.range}`;
  if (request === undefined) return `has no request, against ${bound}`;
  if (request.milli < min.milli) return `request ${request.text} is below ${bound}`;
  return limit !== undefined && limit.milli < min.milli ? `limit ${limit.text} is below ${bound}` : undefined;
}

function maxViolation({ request, limit }: FoundAmount, max: Bound | undefined): string | undefined {
  if (max === undefined) return undefined;
  const bound = `max ${max.text} of LimitRange ${max.range}`;
  if (limit === undefined) return `has no limit, against ${bound}`;
  if (request !== undefined && request.milli > max.milli) return `request ${request.text} is above ${bound}`;
  return limit.milli > max.milli ? `limit ${limit.text} is above ${bound}` : undefined;
}

function ratioViolation({ request, limit }: FoundAmount, ratio: Bound | undefined): string | undefined {
  if (ratio === undefined) return undefined;
  const bound = `maxLimitRequestRatio ${ratio.text} of LimitRange ${ratio.range}`;
  if (request === undefined || limit === undefined || request.milli === 0 || limit.milli === 0)
    return `has no request or no limit, against ${bound}`;
  return exceeds(limit, request, ratio) ? `limit ${limit.text} is too high for request ${request.text} and ${bound}` : undefined;
}
