// The Azure clouds by the names that aad-pod-identity and azure.json use (spec/aad-pod-identity.md 2.12, spec/azure-protocols.md 4.3).

export interface Cloud {
  readonly name: string;
  /** Origin of Resource Manager, without a trailing slash. */
  readonly resourceManager: string;
  /** What tokens for Resource Manager are asked for. */
  readonly resourceManagerScope: string;
  /** Origin of Entra ID, without a trailing slash. */
  readonly authority: string;
}

const cloud = (name: string, resourceManager: string, authority: string): Cloud => ({
  name,
  resourceManager,
  resourceManagerScope: `${resourceManager}/.default`,
  authority,
});

export const publicCloud = cloud('AzurePublicCloud', 'https://management.azure.com', 'https://login.microsoftonline.com');
const governmentCloud = cloud('AzureUSGovernmentCloud', 'https://management.usgovcloudapi.net', 'https://login.microsoftonline.us');
const chinaCloud = cloud('AzureChinaCloud', 'https://management.chinacloudapi.cn', 'https://login.chinacloudapi.cn');

const byName: Readonly<Record<string, Cloud>> = {
  azurepubliccloud: publicCloud,
  azurecloud: publicCloud,
  azureusgovernmentcloud: governmentCloud,
  azureusgovernment: governmentCloud,
  azurechinacloud: chinaCloud,
};

export const cloudNames = 'AzurePublicCloud (or AzureCloud), AzureUSGovernmentCloud (or AzureUSGovernment), AzureChinaCloud';

/** Hosts where Entra ID answers, for checking what an AzureIdentity names as its own endpoint. `.partner` is how MSAL spells China. */
export const entraHosts: readonly string[] = [
  ...[publicCloud, governmentCloud, chinaCloud].map(({ authority }) => new URL(authority).host),
  'login.partner.microsoftonline.cn',
];

export interface CustomEndpoints {
  /** Origins; empty or absent keeps the cloud's own. */
  armEndpoint?: string;
  entraEndpoint?: string;
}

/**
 * The named cloud with the endpoints that were set instead of its own; undefined for an unknown name, which {@link cloudNames} lists. A cloud with both
 * endpoints set (Azure Stack) may have any name. The audience of tokens stays the named cloud's where it is known: an emulator or a private
 * link answers for the same Resource Manager.
 */
export function cloudNamed(name: string, custom: CustomEndpoints = {}): Cloud | undefined {
  const armEndpoint = originOf(custom.armEndpoint);
  const entraEndpoint = originOf(custom.entraEndpoint);
  const known = Object.hasOwn(byName, name.toLowerCase()) ? byName[name.toLowerCase()] : undefined;
  if (known !== undefined)
    return { ...known, resourceManager: armEndpoint ?? known.resourceManager, authority: entraEndpoint ?? known.authority };
  return armEndpoint === undefined || entraEndpoint === undefined ? undefined : cloud(name, armEndpoint, entraEndpoint);
}

function originOf(url: string | undefined): string | undefined {
  return url === undefined || url === '' ? undefined : url.replace(/\/+$/, '');
}
