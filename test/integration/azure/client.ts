// A real client library, doing one thing, in a process of its own (MSAL keeps process-wide statics). Reads the case from its argument, prints what came of it.
import { ComputeManagementClient } from '@azure/arm-compute';
import { ConfidentialClientApplication } from '@azure/msal-node';

export type ClientCase =
  | { readonly client: 'msal-cca'; readonly authority: string; readonly clientId: string; readonly secret: string; readonly scope: string }
  | {
      readonly client: 'arm-compute';
      readonly arm: string;
      readonly token: string;
      readonly subscription: string;
      readonly group: string;
      readonly name: string;
      readonly ids: Readonly<Record<string, object | null>>;
      readonly type: 'UserAssigned';
    };

async function run(one: ClientCase): Promise<unknown> {
  switch (one.client) {
    case 'msal-cca': {
      const auth = {
        clientId: one.clientId,
        clientSecret: one.secret,
        authority: one.authority,
        knownAuthorities: [new URL(one.authority).host],
      };
      const result = await new ConfidentialClientApplication({ auth }).acquireTokenByClientCredential({ scopes: [one.scope] });
      return { token: result?.accessToken };
    }
    case 'arm-compute': {
      const credential = { getToken: () => Promise.resolve({ token: one.token, expiresOnTimestamp: Date.now() + 3_600_000 }) };
      const client = new ComputeManagementClient(credential, one.subscription, { endpoint: one.arm, retryOptions: { maxRetries: 0 } });
      // The type knows no null, the wire does: it is how an entry is removed.
      const userAssignedIdentities = one.ids as Record<string, object>;
      const set = await client.virtualMachineScaleSets.update(
        one.group,
        one.name,
        { identity: { type: one.type, userAssignedIdentities } },
        { updateIntervalInMs: 50 },
      );
      return { ids: Object.keys(set.identity?.userAssignedIdentities ?? {}), state: set.provisioningState };
    }
    default:
      return one satisfies never;
  }
}

const given: ClientCase = JSON.parse(process.argv[2] ?? '');
run(given).then(
  (result) => console.log(JSON.stringify({ result })),
  (error: unknown) =>
    console.log(JSON.stringify({ error: error instanceof Error ? { ...error, name: error.name, message: error.message } : String(error) })),
);
