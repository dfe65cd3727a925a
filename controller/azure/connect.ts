// From settings to a client for Resource Manager with the controller's own sign-in. main calls this once at start.
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { systemClock } from '../../common/clock.ts';
import { createCredential } from '../../lib/azure/auth/credential.ts';
import { msalNetwork } from '../../lib/azure/auth/msal-network.ts';
import type { SignInSettings } from '../../lib/azure/auth/sign-in.ts';
import { chooseSignIn } from '../../lib/azure/auth/sign-in.ts';
import type { Cloud } from '../../lib/azure/clouds.ts';
import { trustCaFile } from '../../lib/azure/trusted-certificates.ts';
import type { Logger } from '../../lib/log.ts';
import { userAgentOf } from '../../lib/user-agent.ts';
import { createArm } from './arm/client.ts';
import type { Compute } from './arm/compute.ts';
import { createCompute } from './arm/compute.ts';
import type { FederatedCredentials } from './arm/federated-credentials.ts';
import { createFederatedCredentials } from './arm/federated-credentials.ts';
import type { Budget } from './arm/gates.ts';
import { createGates } from './arm/gates.ts';
import type { AzureCalls } from './call-status.ts';
import { rememberCalls } from './call-status.ts';
import type { CloudSettings } from './cloud.ts';
import { cloudOf, readAzureJson } from './cloud.ts';

/** Part of the controller's settings; empty text is absent. */
export interface AzureSettings extends SignInSettings, CloudSettings {
  imdsEndpoint: string;
  azureCaFile: string;
  armApiVersion: string;
  /** Milliseconds. */
  armPollInterval: number;
  customUserAgent: string;
}

export interface AzureConnection {
  readonly compute: Compute;
  readonly federatedCredentials: FederatedCredentials;
  readonly cloud: Cloud;
  /** Client id of the managed identity that the controller signs in with: detaching it from the node would lock the controller out. */
  ownClientId(): string | undefined;
  /** By the budget that is used up: until when calls wait, milliseconds since the epoch. */
  throttledUntil(): ReadonlyMap<Budget, number>;
  calls(): AzureCalls;
}

/** As long as aad-pod-identity's client library waited. */
const operationBudgetMs = 15 * 60_000;

type Environment = Readonly<Record<string, string | undefined>>;

/** Makes no call yet. Throws {@link SettingsError}. */
export function connectAzure(settings: AzureSettings, log: Logger, env: Environment = process.env): AzureConnection {
  const cloud = cloudOf(settings, env);
  const userAgent = userAgentOf('controller', settings.customUserAgent);
  trustCaFile(settings.azureCaFile);
  // azure.json is read again for each sign-in, so a file that was rewritten, replaced or linked anew needs no watch.
  const choose = () => chooseSignIn(settings, readAzureJson(settings), env);
  let signIn = choose();
  const signInChanged = () => {
    try {
      const now = choose();
      if (isDeepStrictEqual(now, signIn)) return false;
      signIn = now;
      log.info({ signIn: signIn.kind, clientId: signIn.clientId }, 'the sign-in to Azure changed');
      return true;
    } catch {
      // The file may be half-written. The next sign-in reads it again and reports the error.
      return false;
    }
  };
  log.info({ cloud: cloud.name, resourceManager: cloud.resourceManager, signIn: signIn.kind, clientId: signIn.clientId }, 'Azure settings');

  const credential = createCredential(choose, {
    cloud,
    network: msalNetwork({ userAgent }),
    imdsEndpoint: settings.imdsEndpoint,
    userAgent,
    clock: systemClock,
  });
  const arm = rememberCalls(
    createArm({
      cloud,
      credential,
      apiVersion: settings.armApiVersion || undefined,
      userAgent,
      signInChanged,
      log,
    }),
    Date.now,
  );
  // The gates are shared, since the budget of the caller in a subscription is.
  const gates = createGates(Date.now);
  const shared = { send: arm.send, gates, resourceManager: cloud.resourceManager, now: Date.now };
  const compute = createCompute({
    ...shared,
    pollMs: settings.armPollInterval,
    budgetMs: operationBudgetMs,
    sleep: (ms, signal) => delay(ms, undefined, signal === undefined ? {} : { signal }),
  });
  return {
    compute,
    federatedCredentials: createFederatedCredentials(shared),
    cloud,
    ownClientId: () => (signIn.kind === 'managedIdentity' ? signIn.clientId : undefined),
    throttledUntil: gates.closedUntil,
    calls: arm.calls,
  };
}
