// From settings to a client for Azure: what main calls once at start.
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { INetworkModule } from '@azure/msal-node';
import { createCredential } from '../../lib/azure/auth/credential.ts';
import { msalNetwork } from '../../lib/azure/auth/msal-network.ts';
import type { SignInSettings } from '../../lib/azure/auth/sign-in.ts';
import { chooseSignIn, parseAzureJson } from '../../lib/azure/auth/sign-in.ts';
import type { Cloud } from '../../lib/azure/clouds.ts';
import { cloudNamed, cloudNames, customCloud, customCloudName, isClosedCloud, isCustomCloud, publicCloud } from '../../lib/azure/clouds.ts';
import type { Logger } from '../../lib/log.ts';
import { SettingsError } from '../../lib/settings.ts';
import { userAgentOf } from '../user-agent.ts';
import { createArm } from './arm/client.ts';
import type { Compute } from './arm/compute.ts';
import { createCompute } from './arm/compute.ts';
import { createGates } from './arm/gates.ts';

/** Part of the controller's settings; empty text is absent. */
export interface AzureSettings extends SignInSettings {
  cloud: string;
  cloudConfig: string;
  azureEnvironmentFilepath: string;
  armEndpoint: string;
  entraEndpoint: string;
  imdsEndpoint: string;
  azureCaFile: string;
  armApiVersion: string;
  /** Milliseconds. */
  armPollInterval: number;
  customUserAgent: string;
}

export interface CloudConnection {
  readonly cloud: Cloud;
  /** The way to Entra, for others that sign in. */
  readonly network: INetworkModule;
}

export interface AzureConnection extends CloudConnection {
  readonly compute: Compute;
  /** Client id of the managed identity that the controller signs in with: taking it off the node would lock us out. */
  ownClientId(): string | undefined;
}

/** aad-pod-identity's library waited as long. */
const operationBudgetMs = 15 * 60_000;

type Environment = Readonly<Record<string, string | undefined>>;

/** Which cloud, and the way to it: what minting tokens for pods needs. Makes no call yet. Throws {@link SettingsError}. */
export function connectCloud(settings: AzureSettings, env: Environment = process.env): CloudConnection {
  const json = azureJsonOf(settings);
  const name = settings.cloud || json.cloud || publicCloud.name;
  const custom = {
    armEndpoint: settings.armEndpoint || (json.resourceManagerEndpoint ?? ''),
    entraEndpoint: settings.entraEndpoint || (env.AZURE_AUTHORITY_HOST ?? ''),
  };
  const cloud = cloudNamed(name, custom, isCustomCloud(name) ? describedCloud(settings) : undefined);
  if (cloud === undefined) {
    const accepted = `${cloudNames}, ${customCloudName} with --azure-environment-filepath, or any name with --arm-endpoint and --entra-endpoint`;
    throw new SettingsError(`--cloud is '${name}'${isClosedCloud(name) ? ', which was closed in 2021' : ''}: accepted is ${accepted}`);
  }
  // Flags are checked when they are read; these can come from azure.json or AZURE_AUTHORITY_HOST.
  for (const [what, url] of [
    ['Resource Manager', cloud.resourceManager],
    ['Entra', cloud.authority],
  ] as const)
    if (!/^https:\/\/[^/]+$/.test(url) || !URL.canParse(url))
      throw new SettingsError(`the address of ${what} is '${url.slice(0, 100)}': accepted is an https URL without a path`);
  return { cloud, network: msalNetwork({ ca: caOf(settings), userAgent: userAgentOf(settings.customUserAgent) }) };
}

/** All of it, with the controller's own sign-in. Makes no call yet. Throws {@link SettingsError}. */
export function connectAzure(settings: AzureSettings, log: Logger, env: Environment = process.env): AzureConnection {
  const { cloud, network } = connectCloud(settings, env);
  const userAgent = userAgentOf(settings.customUserAgent);
  // azure.json is read again whenever it matters: one that was rewritten, replaced or linked anew needs no watching and cannot be missed.
  const choose = () => chooseSignIn(settings, azureJsonOf(settings), env);
  let signIn = choose();
  const signInChanged = () => {
    try {
      const now = choose();
      if (isDeepStrictEqual(now, signIn)) return false;
      signIn = now;
      log.info({ signIn: signIn.kind, clientId: signIn.clientId }, 'the sign-in to Azure changed');
      return true;
    } catch {
      // Half-written, perhaps: what there is goes on until a token is needed, which tells why there is none.
      return false;
    }
  };
  log.info({ cloud: cloud.name, resourceManager: cloud.resourceManager, signIn: signIn.kind, clientId: signIn.clientId }, 'Azure settings');

  const credential = createCredential(choose, {
    cloud,
    network,
    imdsEndpoint: settings.imdsEndpoint,
    userAgent,
    now: Date.now,
  });
  const compute = createCompute({
    send: createArm({
      cloud,
      credential,
      ca: caOf(settings),
      apiVersion: settings.armApiVersion || undefined,
      userAgent,
      signInChanged,
      log,
    }),
    gates: createGates(Date.now),
    resourceManager: cloud.resourceManager,
    pollMs: settings.armPollInterval,
    budgetMs: operationBudgetMs,
    now: Date.now,
    sleep: (ms, signal) => delay(ms, undefined, signal === undefined ? {} : { signal }),
  });
  return {
    compute,
    cloud,
    network,
    ownClientId: () => (signIn.kind === 'managedIdentity' ? signIn.clientId : undefined),
  };
}

const describedCloud = ({ azureEnvironmentFilepath: file }: AzureSettings) =>
  file === '' ? undefined : customCloud(fileOf('--azure-environment-filepath', file), file);

const azureJsonOf = (settings: AzureSettings) =>
  settings.cloudConfig === '' ? {} : parseAzureJson(fileOf('--cloud-config', settings.cloudConfig), settings.cloudConfig);

const caOf = (settings: AzureSettings) => (settings.azureCaFile === '' ? undefined : fileOf('--azure-ca-file', settings.azureCaFile));

function fileOf(flag: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    throw new SettingsError(`${flag} is '${file}', which cannot be read (${code}): accepted is a file`);
  }
}
