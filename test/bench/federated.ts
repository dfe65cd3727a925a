// `npm run bench -- federated`: federated identities with the controller and one broker as programs, between the real API server, the emulator and
// scripted sidecars. A federated credential takes 300 ms to write, and Entra knows it at once. Prints a table, asserts nothing.
import { burst } from './federated/burst.ts';
import { startFederation } from './federated/cluster.ts';
import { firstTokens } from './federated/first-tokens.ts';
import { mintsFromCache } from './federated/mints.ts';

export async function bench(): Promise<void> {
  const federation = await startFederation({ identities: 220, credentialWriteMs: 300 });
  try {
    await firstTokens(federation, { first: 200, fresh: 20, inUse: 50 });
    await burst(federation, { pods: 2_000, identities: 200, upstreamSeconds: 837 });
    await mintsFromCache(federation, { pods: 400, identities: 200, each: 25 });
  } finally {
    await federation.stop();
  }
}
