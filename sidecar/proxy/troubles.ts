// The error table of design 5: what a source's trouble is to the application.
import type { IdentityRow } from '../../api/broker.ts';
import { describeRow } from '../identities/texts.ts';
import type { Trouble } from '../tokens/source.ts';
import type { Dialect } from './answers.ts';
import { errorAnswer } from './answers.ts';

/** Azure spreads a fresh assignment to the hosts within this time. */
const spreadMs = 600_000;

export function troubleAnswer(trouble: Trouble, row: IdentityRow, dialect: Dialect, wallMs: number): Response {
  const source = row.type === 0 ? 'IMDS' : 'the identity broker';
  const about = `no token for ${describeRow(row)} from ${source}: ${trouble.text}`;
  switch (trouble.kind) {
    case 'final':
      return errorAnswer({ status: trouble.status, error: trouble.error, text: trouble.text }, dialect);
    case 'restarting':
      return errorAnswer({ status: 410, text: `${about}. IMDS is being updated, which takes up to 70 s` }, dialect);
    case 'throttled':
      return errorAnswer({ status: 429, text: `${about}. All pods of this node share what IMDS allows`, retryAfter: 5 }, dialect);
    case 'identity_not_found': {
      const assigned = Date.parse(row.assignedAt ?? '');
      if (wallMs - assigned < spreadMs) {
        return errorAnswer(
          {
            status: 503,
            text: `${describeRow(row)} was assigned at ${row.assignedAt}, IMDS does not know it yet: Azure takes up to 10 min`,
            retryAfter: 10,
          },
          dialect,
        );
      }
      return errorAnswer(
        {
          status: 400,
          text: `Identity not found: IMDS does not know ${row.resourceID} of ${describeRow(row)}, although it was assigned: does it exist in Azure, and has nobody taken it from the node's scale set or VM?`,
        },
        dialect,
      );
    }
    case 'wrong_client_id':
      return errorAnswer(
        { status: 503, text: `${about}. Was the identity deleted and made anew? The controller has been told`, retryAfter: 20 },
        dialect,
      );
    default:
      return errorAnswer({ status: 503, text: about, retryAfter: 5 }, dialect);
  }
}
