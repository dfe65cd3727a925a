// Runs inside a network namespace of its own: IMDS on 169.254.169.254 with strict paths, and every client against it without any variable.

import { startEmulator } from '../../azure/emulator.ts';
import { conformanceState } from './fixtures.ts';
import { managedIdentityCases } from './managed-identity-cases.ts';
import { claimsOf } from './requests.ts';
import { runClient } from './run-client.ts';

const emulator = await startEmulator({
  state: conformanceState(),
  paths: 'strict',
  listen: { imds: { host: '169.254.169.254', port: 80 } },
});
const outcomes: Record<string, unknown> = {};
for (const { what, one } of managedIdentityCases) {
  const { result, error } = await runClient(one, { ca: emulator.ca });
  outcomes[what] = error === null ? claimsOf(String(result.token)).appid : error.message;
}
await emulator.stop();
console.log(JSON.stringify(outcomes));
