// Bodies that are passed on to IMDS: parsed from what the caller sent, and made anew.
import { isRecord } from '../../common/records.ts';
import { parseJson } from '../http.ts';
import type { BodyKind } from './imds-paths.ts';

/** The body for IMDS, or what it has to be. */
export function readBody(kind: BodyKind, text: string): { body: object } | { message: string } {
  const sent = parseJson(text);
  const body = kind === 'event approval' ? eventApproval(sent) : tdReport(sent);
  return body === undefined ? { message: `the body has to be ${forms[kind]}` } : { body };
}

const forms: Record<BodyKind, string> = {
  'event approval': 'JSON such as {"StartRequests":[{"EventId":"..."}]}',
  'TD report': 'JSON such as {"report":"..."}, with the report in base64',
};

function eventApproval(sent: unknown): object | undefined {
  if (!isRecord(sent) || !Array.isArray(sent.StartRequests) || sent.StartRequests.length === 0) return undefined;
  const ids = sent.StartRequests.map((request: unknown) => (isRecord(request) ? request.EventId : undefined));
  return ids.every((id) => typeof id === 'string' && /^[\w-]{1,64}$/.test(id))
    ? { StartRequests: ids.map((EventId) => ({ EventId })) }
    : undefined;
}

function tdReport(sent: unknown): object | undefined {
  if (!isRecord(sent) || typeof sent.report !== 'string' || !/^[\w+/=-]+$/.test(sent.report)) return undefined;
  return { report: sent.report };
}
