// Runs inside a pod: what an application does with @azure/identity, unchanged. Prints the application id of each token, or the error.
import { DefaultAzureCredential, ManagedIdentityCredential } from '@azure/identity';
import { readJwt } from '../azure/core/jwt.ts';
import { identities } from '../demo/azure.ts';

const { id: resourceId, clientId } = identities.second;
const credentials = {
  managed: new ManagedIdentityCredential(),
  managedByClientId: new ManagedIdentityCredential({ clientId }),
  managedByResourceId: new ManagedIdentityCredential({ resourceId }),
  default: new DefaultAzureCredential(),
  defaultByClientId: new DefaultAzureCredential({ managedIdentityClientId: clientId }),
};

async function main(): Promise<void> {
  const seen: Record<string, unknown> = {};
  for (const [name, credential] of Object.entries(credentials))
    seen[name] = await credential.getToken('https://vault.azure.net/.default').then(
      ({ token }) => readJwt(token)?.claims.appid,
      (error: unknown) => String(error),
    );
  console.log(JSON.stringify(seen));
}

void main();
