// The error table of design 5: what a source's trouble is to the application.
import type { IdentityRow } from '../../api/broker.ts';
import { describeRow } from '../identities/choose.ts';
import type { Trouble } from '../tokens/source.ts';
import type { Dialect } from './answers.ts';
import { errorAnswer } from './answers.ts';

/** Azure spreads a fresh assignment to the hosts within this time. */
const spreadMs = 600_000;

export function troubleAnswer(trouble: Trouble, row: IdentityRow, dialect: Dialect, wallMs: number): Response {
  const about = `${describeRow(row)}: ${trouble.text}`;
  switch (trouble.kind) {
    case 'final':
      return errorAnswer({ status: trouble.status, error: trouble.error, text: trouble.text }, dialect);
    case 'restarting':
      return errorAnswer({ status: 410, text: about }, dialect);
    case 'throttled':
      return errorAnswer({ status: 429, text: about, retryAfter: 5 }, dialect);
    case 'identity_not_found': {
      const assigned = Date.parse(row.assignedAt ?? '');
      if (wallMs - assigned < spreadMs) {
        return errorAnswer(
          { status: 503, text: `${describeRow(row)} was assigned at ${row.assignedAt}, IMDS does not know it yet`, retryAfter: 10 },
          dialect,
        );
      }
      return errorAnswer(
        { status: 400, text: `Identity not found: IMDS does not know ${row.resourceID} of ${describeRow(row)}, although it is assigned` },
        dialect,
      );
    }
    case 'wrong_client_id':
      return errorAnswer({ status: 503, text: about, retryAfter: 20 }, dialect);
    default:
      return errorAnswer({ status: 503, text: about, retryAfter: 5 }, dialect);
  }
}
