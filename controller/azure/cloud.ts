// Which cloud the cluster is in: from settings, azure.json of the node, or a file that describes the cloud.
import type { AzureJson } from '../../lib/azure/auth/sign-in.ts';
import { parseAzureJson } from '../../lib/azure/auth/sign-in.ts';
import type { Cloud } from '../../lib/azure/clouds.ts';
import { cloudNamed, cloudNames, customCloud, customCloudName, isClosedCloud, isCustomCloud, publicCloud } from '../../lib/azure/clouds.ts';
import { SettingsError } from '../../lib/settings.ts';
import { readSettingsFile } from '../../lib/settings-file.ts';

/** Part of the controller's settings; empty text is absent. */
export interface CloudSettings {
  cloud: string;
  cloudConfig: string;
  azureEnvironmentFilepath: string;
  armEndpoint: string;
  entraEndpoint: string;
}

/** Throws {@link SettingsError}. */
export function cloudOf(settings: CloudSettings, env: Readonly<Record<string, string | undefined>>): Cloud {
  const json = readAzureJson(settings);
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
  // parseSettings checks flags; these addresses can come from azure.json or AZURE_AUTHORITY_HOST too.
  for (const [what, url] of [
    ['Resource Manager', cloud.resourceManager],
    ['Entra', cloud.authority],
  ] as const)
    if (!/^https:\/\/[^/]+$/.test(url) || !URL.canParse(url))
      throw new SettingsError(`the address of ${what} is '${url.slice(0, 100)}': accepted is an https URL without a path`);
  return cloud;
}

/** azure.json of the node, empty where no setting names one. Throws {@link SettingsError}. */
export function readAzureJson({ cloudConfig: file }: Pick<CloudSettings, 'cloudConfig'>): AzureJson {
  return file === '' ? {} : parseAzureJson(readSettingsFile('--cloud-config', file), file);
}

const describedCloud = ({ azureEnvironmentFilepath: file }: CloudSettings): Cloud | undefined =>
  file === '' ? undefined : customCloud(readSettingsFile('--azure-environment-filepath', file), file);
