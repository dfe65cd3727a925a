// Long-running operations of ARM (docs/reference/arm.md#long-running-operations): where to poll, what an answer means, when to poll again. Pure.

import type { Scope } from '../../../lib/azure/resource-ids.ts';
import { parseRetryAfter } from '../../../lib/azure/retry-after.ts';
import { stringAt } from '../../../lib/kube/objects.ts';
import type { Answer } from './errors.ts';
import { ArmError, errorOf, operationErrorOf } from './errors.ts';
import type { WriteContext } from './subject.ts';

/**
 * Where to poll the operation of an accepted PATCH; undefined: it is done. The resource itself is polled after a 202 without a URL, when it says that
 * it is being updated, and in place of a URL of another host: our token goes to Resource Manager only.
 */
export function operationUrlOf(accepted: Answer, scope: Scope, resourceManager: string): string | undefined {
  const given = accepted.headers['azure-asyncoperation'] ?? accepted.headers.location;
  if (given !== undefined) return trustedOperationUrl(given, scope, resourceManager);
  const updating = isRunning(provisioningStateOf(accepted.body));
  return accepted.status === 202 || updating ? scope.displayId : undefined;
}

/** The URL if it is of Resource Manager or of a regional host under it, else the path of the resource. */
export function trustedOperationUrl(text: string, scope: Scope, resourceManager: string): string {
  const base = new URL(resourceManager);
  const url = URL.canParse(text, base.origin) ? new URL(text, base.origin) : undefined;
  const trusted = url !== undefined && url.protocol === 'https:' && (url.host === base.host || url.host.endsWith(`.${base.host}`));
  return trusted ? url.href : scope.displayId;
}

export const isResource = (operationUrl: string, scope: Scope): boolean => operationUrl.toLowerCase() === scope.id;

export type Progress =
  | { state: 'running'; retryAfterMs: number | undefined }
  | { state: 'succeeded' }
  /** The operation ended badly, or its end can no longer be known. */
  | { state: 'failed'; error: ArmError }
  /** The question failed, not the operation: ask again. */
  | { state: 'unclear'; error: ArmError };

export interface ProgressContext {
  /** The resource itself was asked for, not a URL of its operation. */
  readonly ofResource: boolean;
  readonly now: Date;
  /** What began the operation; undefined: it is that of an earlier process. */
  readonly write: WriteContext | undefined;
}

export function progressOf(answer: Answer, { ofResource, now, write }: ProgressContext): Progress {
  if (answer.status >= 400) {
    const error = errorOf(answer, now);
    const { code } = error.failure;
    if (code === 'throttled' || code === 'transient' || code === 'unauthorized') return { state: 'unclear', error };
    if (ofResource && code === 'notFound') return { state: 'failed', error };
    const lost = new ArmError({ code: 'operationLost' }, `the operation cannot be followed: ${error.message}`, {
      ids: error.ids,
      status: answer.status,
      azureCode: error.azureCode,
    });
    return { state: 'failed', error: lost };
  }
  const retryAfter = parseRetryAfter(answer.headers['retry-after'], now);
  const running: Progress = { state: 'running', retryAfterMs: retryAfter === undefined ? undefined : retryAfter * 1000 };
  if (ofResource) {
    const state = provisioningStateOf(answer.body);
    if (isRunning(state)) return running;
    return state !== undefined && /^(failed|cancell?ed)$/i.test(state)
      ? { state: 'failed', error: operationErrorOf({ ...answer, body: { status: state } }, now, write) }
      : { state: 'succeeded' };
  }
  // A status URL has the state in its body. A result URL (Location) has it in its HTTP status; its body is the resource.
  const status = stringAt(answer.body, 'status');
  if (status === undefined) return answer.status === 202 ? running : { state: 'succeeded' };
  if (/^succeeded$/i.test(status)) return { state: 'succeeded' };
  if (/^(failed|cancell?ed)$/i.test(status)) return { state: 'failed', error: operationErrorOf(answer, now, write) };
  return running;
}

export interface PollPace {
  /** Between two polls for the first 30 of them, then five times as long. */
  readonly pollMs: number;
}

/** Time until the next poll. A Retry-After counts where it is longer. */
export function nextPollMs(pace: PollPace, elapsedMs: number, ofResource: boolean, retryAfterMs: number | undefined): number {
  // A GET of the resource counts against its reads, of which there are few: always the slow pace.
  const slow = ofResource || elapsedMs >= 30 * pace.pollMs;
  return Math.max(slow ? 5 * pace.pollMs : pace.pollMs, retryAfterMs ?? 0);
}

export function operationTimedOut(budgetMs: number, last: ArmError | undefined, ids: ArmError['ids']): ArmError {
  const suffix = last === undefined ? '' : `; the last answer was: ${last.message}`;
  return new ArmError({ code: 'operationLost' }, `the operation did not end within ${Math.round(budgetMs / 1000)} s${suffix}`, { ids });
}

export function provisioningStateOf(body: unknown): string | undefined {
  return stringAt(body, 'properties', 'provisioningState');
}

export const isRunning = (state: string | undefined): boolean => state !== undefined && !/^(succeeded|failed|cancell?ed)$/i.test(state);
