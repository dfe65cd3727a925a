// The Azure clouds by the names that aad-pod-identity and azure.json use (docs/reference/aad-pod-identity.md, docs/reference/entra.md).
import { stringAt } from '../kube/objects.ts';
import { SettingsError } from '../settings.ts';

export interface Cloud {
  readonly name: string;
  /** Origin of Resource Manager, without a trailing slash. */
  readonly resourceManager: string;
  /** The scope of tokens for Resource Manager. */
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

const knownCloud = (name: string): Cloud | undefined =>
  Object.hasOwn(byName, name.toLowerCase()) ? byName[name.toLowerCase()] : undefined;

export const cloudNames = 'AzurePublicCloud (or AzureCloud), AzureUSGovernmentCloud (or AzureUSGovernment), AzureChinaCloud';
/** The name under which a cloud is described by a file. */
export const customCloudName = 'AzureStackCloud';
export const isCustomCloud = (name: string): boolean => name.toLowerCase() === customCloudName.toLowerCase();
export const isClosedCloud = (name: string): boolean => name.toLowerCase() === 'azuregermancloud';

/** Hosts of Entra ID that an AzureIdentity may name as its endpoint. `.partner` is MSAL's name for China. */
export const entraHosts: readonly string[] = [
  ...[publicCloud, governmentCloud, chinaCloud].map(({ authority }) => new URL(authority).host),
  'login.partner.microsoftonline.cn',
];

/**
 * The cloud of the JSON file that AZURE_ENVIRONMENT_FILEPATH names to Azure's Go programs, for AzureStackCloud. Of its two dozen addresses these count:
 * resourceManagerEndpoint, activeDirectoryEndpoint, and tokenAudience or else serviceManagementEndpoint. Throws {@link SettingsError}.
 */
export function customCloud(content: string, file: string): Cloud {
  const refuse = (why: string) => new SettingsError(`--azure-environment-filepath ${file} ${why}`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(content.replace(/^\uFEFF/, ''));
  } catch {
    throw refuse('is not JSON: accepted is the description of a cloud, with resourceManagerEndpoint and activeDirectoryEndpoint');
  }
  const required = (key: string) => {
    const value = originOf(stringAt(parsed, key));
    if (value === undefined) throw refuse(`has no ${key}: accepted is an https URL`);
    return value;
  };
  const resourceManager = required('resourceManagerEndpoint');
  // Unchanged: an audience of Azure Stack has a path, and a slash at its end makes another audience.
  const audience = stringAt(parsed, 'tokenAudience') || stringAt(parsed, 'serviceManagementEndpoint') || resourceManager;
  const name = stringAt(parsed, 'name') || customCloudName;
  return { name, resourceManager, resourceManagerScope: `${audience}/.default`, authority: required('activeDirectoryEndpoint') };
}

export interface CustomEndpoints {
  /** Origins; empty or absent keeps the cloud's own. */
  armEndpoint?: string;
  entraEndpoint?: string;
}

/**
 * The named cloud with the endpoints that were set instead of its own; undefined for a name that {@link cloudNames} does not list. A cloud with
 * both endpoints set may have any name; `described` is the cloud of a file. The audience of tokens stays the named cloud's where it is known: an
 * emulator or a private link answers for the same Resource Manager.
 */
export function cloudNamed(name: string, custom: CustomEndpoints = {}, described?: Cloud): Cloud | undefined {
  const armEndpoint = originOf(custom.armEndpoint);
  const entraEndpoint = originOf(custom.entraEndpoint);
  const known = described ?? knownCloud(name);
  if (known !== undefined)
    return { ...known, resourceManager: armEndpoint ?? known.resourceManager, authority: entraEndpoint ?? known.authority };
  return armEndpoint === undefined || entraEndpoint === undefined ? undefined : cloud(name, armEndpoint, entraEndpoint);
}

/** Origin of Entra: the endpoint that is set, else that of the named cloud; undefined where neither is known. */
export function entraOf(name: string, entraEndpoint: string): string | undefined {
  return originOf(entraEndpoint) ?? knownCloud(name)?.authority;
}

function originOf(url: string | undefined): string | undefined {
  return url === undefined || url === '' ? undefined : url.replace(/\/+$/, '');
}
