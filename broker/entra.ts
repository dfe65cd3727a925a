// Entra of the cluster's cloud: where the broker signs in for pods. The broker has no identity of its own in Azure.
import type { INetworkModule } from '@azure/msal-node';
import { msalNetwork } from '../lib/azure/auth/msal-network.ts';
import { cloudNames, entraOf, isClosedCloud, publicCloud } from '../lib/azure/clouds.ts';
import { trustCaFile } from '../lib/azure/trusted-certificates.ts';
import { SettingsError } from '../lib/settings.ts';
import { userAgentOf } from '../lib/user-agent.ts';
import type { BrokerSettings } from './settings.ts';

export interface Entra {
  /** Origin, without a trailing slash. */
  readonly authority: string;
  readonly network: INetworkModule;
}

/** Makes no call yet. Throws {@link SettingsError}. */
export function connectEntra(settings: Pick<BrokerSettings, 'cloud' | 'entraEndpoint' | 'azureCaFile' | 'customUserAgent'>): Entra {
  const name = settings.cloud || publicCloud.name;
  const authority = entraOf(name, settings.entraEndpoint);
  if (authority === undefined)
    throw new SettingsError(
      `--cloud is '${name}'${isClosedCloud(name) ? ', which was closed in 2021' : ''}: accepted is ${cloudNames}, or any name with --entra-endpoint`,
    );
  trustCaFile(settings.azureCaFile);
  return { authority, network: msalNetwork({ userAgent: userAgentOf('broker', settings.customUserAgent) }) };
}
