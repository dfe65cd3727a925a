// What every client that asks IMDS must get, wherever IMDS is: pairs of a case and the identity whose token it ends with (or the error).

import type { ClientCase } from './client.ts';
import { identityIds } from './fixtures.ts';

type Managed = Extract<ClientCase, { selector: unknown }>;
export type ManagedCase = { readonly what: string; readonly one: Managed; readonly clientId?: string; readonly error?: RegExp };

const resource = 'https://vault.azure.net';
const { reader, writer } = identityIds;

export const managedIdentityCases: readonly ManagedCase[] = [
  ...(['identity-managed', 'msal-managed'] as const).flatMap((client): ManagedCase[] => [
    { what: `${client} without a name gets the only identity`, one: { client, selector: {}, resource }, clientId: reader.clientId },
    { what: `${client} by client id`, one: { client, selector: { clientId: reader.clientId }, resource }, clientId: reader.clientId },
    { what: `${client} by resource id`, one: { client, selector: { resourceId: reader.id }, resource }, clientId: reader.clientId },
    { what: `${client} by object id`, one: { client, selector: { objectId: reader.principalId }, resource }, clientId: reader.clientId },
    {
      what: `${client} of an identity that is not attached`,
      one: { client, selector: { clientId: writer.clientId }, resource },
      error: /Identity not found/,
    },
  ]),
  { what: 'identity-default', one: { client: 'identity-default', selector: {}, resource }, clientId: reader.clientId },
  {
    what: 'identity-default by client id',
    one: { client: 'identity-default', selector: { clientId: reader.clientId }, resource },
    clientId: reader.clientId,
  },
];
