// The response to the application when its token could not be fetched.
import type { IdentityRow } from '../../api/broker.ts';
import { annotations } from '../../api/names.ts';
import { describeRow } from '../identities/row.ts';
import type { TokenError } from '../tokens/source.ts';
import type { ErrorOptions } from './responses.ts';
import { errorResponse } from './responses.ts';
import type { Protocol } from './routes.ts';

/** All hosts of Azure know an assignment within this time. */
const propagationMs = 600_000;

export function tokenErrorResponse(error: TokenError, row: IdentityRow, protocol: Protocol, wallMs: number): Response {
  return errorResponse(optionsOf(error, row, wallMs), protocol);
}

function optionsOf(error: TokenError, row: IdentityRow, wallMs: number): ErrorOptions {
  const source = row.source === 'imds' ? 'IMDS' : 'the identity broker';
  const message = `no token for ${describeRow(row)} from ${source}: ${error.message}`;
  switch (error.code) {
    case 'final':
      return { status: error.status, error: error.error, message: error.message };
    case 'restarting':
      return { status: 410, message: `${message}. IMDS is being updated, which takes up to 70 s` };
    case 'throttled':
      return { status: 429, message: `${message}. All pods of this node share what IMDS allows`, retryAfter: 5 };
    case 'silent':
      return {
        status: 503,
        message: `${message}, while the identity broker answers. The node drops what pods send to IMDS, as with the IMDS restriction of AKS. A federated identity needs no IMDS: kubectl annotate azureidentity -n ${row.namespace} ${row.name} ${annotations.assignment}=federate`,
        retryAfter: 20,
      };
    case 'identity_not_found':
      return unknownToImds(row, wallMs);
    case 'wrong_client_id':
      return wrongClientId(message, row);
    default:
      return { status: 503, message, retryAfter: 5 };
  }
}

/** A row with a time of assignment has the client id that Azure reported; one without, in managed mode, what the author of the AzureIdentity wrote. */
function wrongClientId(message: string, { assignedAt }: IdentityRow): ErrorOptions {
  if (assignedAt === undefined) return { status: 400, message: `ClientIDMismatch: ${message}: correct spec.clientID of the AzureIdentity` };
  return {
    status: 503,
    message: `ClientIDMismatch: ${message}. Was the identity deleted and made anew? This was reported to the controller`,
    retryAfter: 20,
  };
}

function unknownToImds(row: IdentityRow, wallMs: number): ErrorOptions {
  if (wallMs - Date.parse(row.assignedAt ?? '') < propagationMs) {
    return {
      status: 503,
      message: `${describeRow(row)} was assigned at ${row.assignedAt}, IMDS does not know it yet: Azure takes up to 10 min`,
      retryAfter: 10,
    };
  }
  return {
    status: 400,
    message: `Identity not found: IMDS does not know ${row.resourceID} of ${describeRow(row)}, although it was assigned: does it exist in Azure, and has nobody taken it from the node's scale set or VM?`,
  };
}
