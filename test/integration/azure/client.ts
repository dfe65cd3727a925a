// A real client library, doing one thing, in a process of its own (MSAL keeps process-wide statics). Reads the case from its argument, prints what came of it.

import { ComputeManagementClient } from '@azure/arm-compute';
import { ManagedServiceIdentityClient } from '@azure/arm-msi';
import type { TokenCredential } from '@azure/identity';
import {
  ClientCertificateCredential,
  ClientSecretCredential,
  DefaultAzureCredential,
  ManagedIdentityCredential,
  WorkloadIdentityCredential,
} from '@azure/identity';
import type { ManagedIdentityIdParams, NodeAuthOptions } from '@azure/msal-node';
import { ConfidentialClientApplication, ManagedIdentityApplication } from '@azure/msal-node';

/** Which managed identity; at most one of them. */
export type Selector = { readonly clientId?: string; readonly resourceId?: string; readonly objectId?: string };

type SignIn = { readonly authority: string; readonly tenant: string; readonly clientId: string };

export type ClientCase =
  | { readonly client: 'identity-managed' | 'identity-default' | 'msal-managed'; readonly selector: Selector; readonly resource: string }
  | ({ readonly client: 'identity-secret' | 'msal-secret'; readonly secret: string; readonly resource: string } & SignIn)
  | ({ readonly client: 'identity-certificate'; readonly pemFile: string; readonly resource: string } & SignIn)
  | ({ readonly client: 'msal-certificate'; readonly thumbprint: string; readonly key: string; readonly resource: string } & SignIn)
  | ({ readonly client: 'identity-workload'; readonly tokenFile: string; readonly resource: string } & SignIn)
  | ({ readonly client: 'msal-assertion'; readonly assertion: string; readonly resource: string } & SignIn)
  | {
      readonly client: 'arm-compute';
      readonly arm: string;
      readonly token: string;
      readonly subscription: string;
      readonly group: string;
      readonly name: string;
      readonly kind: 'scaleSet' | 'virtualMachine';
      readonly type: 'UserAssigned' | 'SystemAssigned' | 'None' | 'SystemAssigned, UserAssigned';
      readonly ids: Readonly<Record<string, object | null>>;
      readonly ifMatch?: string;
    }
  | {
      /** Creates the credentials one after the other, lists them, replaces the first and deletes it twice. */
      readonly client: 'arm-msi';
      readonly arm: string;
      readonly token: string;
      readonly subscription: string;
      readonly group: string;
      readonly name: string;
      readonly credentials: readonly {
        readonly name: string;
        readonly issuer: string;
        readonly subject: string;
        readonly audiences: string[];
      }[];
    };

async function tokenBy(credential: TokenCredential, resource: string): Promise<Record<string, unknown>> {
  const token = await credential.getToken(`${resource}/.default`);
  return { token: token?.token, expiresOn: token?.expiresOnTimestamp };
}

async function byConfidentialClient(one: SignIn & { resource: string }, proof: Partial<NodeAuthOptions>): Promise<Record<string, unknown>> {
  const auth = {
    clientId: one.clientId,
    authority: `${one.authority}/${one.tenant}`,
    knownAuthorities: [new URL(one.authority).host],
    ...proof,
  };
  const result = await new ConfidentialClientApplication({ auth }).acquireTokenByClientCredential({ scopes: [`${one.resource}/.default`] });
  return { token: result?.accessToken };
}

function managedIdentityParams({ clientId, resourceId, objectId }: Selector): ManagedIdentityIdParams {
  return {
    ...(clientId === undefined ? {} : { userAssignedClientId: clientId }),
    ...(resourceId === undefined ? {} : { userAssignedResourceId: resourceId }),
    ...(objectId === undefined ? {} : { userAssignedObjectId: objectId }),
  };
}

async function byCompute(one: Extract<ClientCase, { client: 'arm-compute' }>): Promise<Record<string, unknown>> {
  const credential = { getToken: () => Promise.resolve({ token: one.token, expiresOnTimestamp: Date.now() + 3_600_000 }) };
  const client = new ComputeManagementClient(credential, one.subscription, { endpoint: one.arm, retryOptions: { maxRetries: 0 } });
  // The type knows no null, the wire does: it is how an entry is removed.
  const userAssignedIdentities = one.ids as Record<string, object>;
  const body = { identity: { type: one.type, ...(Object.keys(one.ids).length === 0 ? {} : { userAssignedIdentities }) } };
  const options = { updateIntervalInMs: 20, ...(one.ifMatch === undefined ? {} : { ifMatch: one.ifMatch }) };
  const updated =
    one.kind === 'scaleSet'
      ? await client.virtualMachineScaleSets.update(one.group, one.name, body, options)
      : await client.virtualMachines.update(one.group, one.name, body, options);
  return {
    ids: Object.keys(updated.identity?.userAssignedIdentities ?? {}),
    type: updated.identity?.type,
    state: updated.provisioningState,
  };
}

async function byManagedIdentity(one: Extract<ClientCase, { client: 'arm-msi' }>): Promise<Record<string, unknown>> {
  const credential = { getToken: () => Promise.resolve({ token: one.token, expiresOnTimestamp: Date.now() + 3_600_000 }) };
  const client = new ManagedServiceIdentityClient(credential, one.subscription, { endpoint: one.arm, retryOptions: { maxRetries: 0 } });
  const { group, name } = one;
  const statuses: number[] = [];
  const noted = { onResponse: ({ status }: { status: number }) => void statuses.push(status) };
  const credentials = client.federatedIdentityCredentials;
  for (const { name: made, ...trust } of one.credentials) await credentials.createOrUpdate(group, name, made, trust, noted);
  const listed: unknown[] = [];
  for await (const { name: found, issuer, subject, audiences } of credentials.list(group, name))
    listed.push({ name: found, issuer, subject, audiences });
  const [first] = one.credentials;
  if (first === undefined) throw new Error('no credentials are given');
  const { name: made, ...trust } = first;
  const replaced = await credentials.createOrUpdate(group, name, made, { ...trust, subject: 'replaced' }, noted);
  const got = await credentials.get(group, name, made, noted);
  for (let count = 0; count < 2; count += 1) await credentials.delete(group, name, made, noted);
  const { clientId, principalId, tenantId } = await client.userAssignedIdentities.get(group, name);
  return { statuses, listed, subjects: [replaced.subject, got.subject], ids: { clientId, principalId, tenantId } };
}

async function run(one: ClientCase): Promise<Record<string, unknown>> {
  switch (one.client) {
    case 'identity-managed': {
      const { clientId, resourceId, objectId } = one.selector;
      const named =
        clientId !== undefined ? { clientId } : resourceId !== undefined ? { resourceId } : objectId !== undefined ? { objectId } : {};
      return tokenBy(new ManagedIdentityCredential(named), one.resource);
    }
    case 'identity-default': {
      const { clientId } = one.selector;
      return tokenBy(new DefaultAzureCredential(clientId === undefined ? {} : { managedIdentityClientId: clientId }), one.resource);
    }
    case 'msal-managed': {
      const application = new ManagedIdentityApplication({ managedIdentityIdParams: managedIdentityParams(one.selector) });
      const first = await application.acquireToken({ resource: one.resource });
      const second = await application.acquireToken({ resource: one.resource });
      return { token: first.accessToken, cached: second.fromCache };
    }
    case 'identity-secret':
      return tokenBy(
        new ClientSecretCredential(one.tenant, one.clientId, one.secret, { authorityHost: one.authority, disableInstanceDiscovery: true }),
        one.resource,
      );
    case 'identity-certificate':
      return tokenBy(
        new ClientCertificateCredential(one.tenant, one.clientId, one.pemFile, {
          authorityHost: one.authority,
          disableInstanceDiscovery: true,
        }),
        one.resource,
      );
    case 'identity-workload': {
      const options = {
        tenantId: one.tenant,
        clientId: one.clientId,
        tokenFilePath: one.tokenFile,
        authorityHost: one.authority,
        disableInstanceDiscovery: true,
      };
      return tokenBy(new WorkloadIdentityCredential(options), one.resource);
    }
    case 'msal-secret':
      return byConfidentialClient(one, { clientSecret: one.secret });
    case 'msal-certificate':
      return byConfidentialClient(one, { clientCertificate: { thumbprintSha256: one.thumbprint, privateKey: one.key } });
    case 'msal-assertion':
      return byConfidentialClient(one, { clientAssertion: () => Promise.resolve(one.assertion) });
    case 'arm-compute':
      return byCompute(one);
    case 'arm-msi':
      return byManagedIdentity(one);
    default:
      return one satisfies never;
  }
}

const given: ClientCase = JSON.parse(process.argv[2] ?? '');
run(given).then(
  (result) => console.log(JSON.stringify({ result })),
  (error: unknown) => {
    const { name, message, ...rest } = error instanceof Error ? error : { name: 'unknown', message: String(error) };
    console.log(
      JSON.stringify({
        error: {
          name,
          message,
          ...('statusCode' in rest ? { statusCode: rest.statusCode } : {}),
          ...('code' in rest ? { code: rest.code } : {}),
        },
      }),
    );
  },
);
