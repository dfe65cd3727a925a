// ARM ids from nodes and AzureIdentities. ARM compares ids without case, and kubelets, cloud providers and tools disagree on the case of every part
// (docs/reference/arm.md): every `id` here is lower case, `displayId` is as it came.

export interface Scope {
  /** Identities are attached to a Uniform scale set as a whole, or to one VM: a stand-alone one, or one of a Flexible set. */
  readonly kind: 'scaleSet' | 'virtualMachine';
  readonly subscription: string;
  readonly resourceGroup: string;
  readonly name: string;
  /** Lower case, for comparisons. */
  readonly id: string;
  /** The ARM path, for calls and texts. */
  readonly displayId: string;
}

// ASCII only: the flags `iu` would take U+017F for `s` and U+212A for `k`, and such an id would not be found by a comparison or search of texts.
// No part can be `..` or carry a separator.
const subscription = '[0-9A-Za-z][0-9A-Za-z-]*';
const resourceGroup = '[0-9A-Za-z_().-]*[0-9A-Za-z_()-]';
const computeName = '[0-9A-Za-z_](?:[0-9A-Za-z_.-]*[0-9A-Za-z_-])?';
const identityName = '[0-9A-Za-z_-]+';

const group = `/subscriptions/(?<subscription>${subscription})/resourceGroups/(?<resourceGroup>${resourceGroup})/providers`;
const scaleSetPattern = new RegExp(
  `^${group}/Microsoft\\.Compute/virtualMachineScaleSets/(?<name>${computeName})(?:/virtualMachines/${computeName})?/?$`,
  'i',
);
const machinePattern = new RegExp(`^${group}/Microsoft\\.Compute/virtualMachines/(?<name>${computeName})/?$`, 'i');
const identityText = `${group}/Microsoft\\.ManagedIdentity/userAssignedIdentities/${identityName}`;
const identityPattern = new RegExp(`^${identityText}$`, 'i');

/**
 * Where the identities of a node's pods are attached. `pending`: the cloud provider has not set the id yet. `unsupported`: not an Azure machine,
 * or an id that names neither a scale set nor a VM.
 */
export function scopeOfProviderId(providerId: string): Scope | 'pending' | 'unsupported' {
  const trimmed = providerId.trim();
  if (trimmed === '') return 'pending';
  const prefix = /^azure:\/\/(?=\/)/i.exec(trimmed);
  return (prefix === null ? undefined : scopeOfId(trimmed.slice(prefix[0].length))) ?? 'unsupported';
}

/** The scope that an ARM id names: of a scale set, of an instance of one, or of a VM. */
export function scopeOfId(id: string): Scope | undefined {
  return scopeFrom('scaleSet', scaleSetPattern.exec(id)) ?? scopeFrom('virtualMachine', machinePattern.exec(id));
}

function scopeFrom(kind: Scope['kind'], match: RegExpExecArray | null): Scope | undefined {
  const { subscription, resourceGroup, name } = match?.groups ?? {};
  if (subscription === undefined || resourceGroup === undefined || name === undefined) return undefined;
  const collection = kind === 'scaleSet' ? 'virtualMachineScaleSets' : 'virtualMachines';
  const displayId = `/subscriptions/${subscription}/resourceGroups/${resourceGroup}/providers/Microsoft.Compute/${collection}/${name}`;
  return { kind, subscription, resourceGroup, name, id: displayId.toLowerCase(), displayId };
}

const areaPattern = new RegExp(`^/subscriptions/${subscription}(?:/resourceGroups/${resourceGroup})?$`, 'i');

/** Whether a text names a subscription or a resource group, as the setting azureScopes does. */
export const isAzureArea = (text: string): boolean => areaPattern.test(text);

/** Whether a scope lies in one of these subscriptions and resource groups. */
export const isInside = ({ id }: Scope, areas: readonly string[]): boolean => areas.some((area) => id.startsWith(`${area.toLowerCase()}/`));

export const identityIdForm = '/subscriptions/<id>/resourceGroups/<name>/providers/Microsoft.ManagedIdentity/userAssignedIdentities/<name>';

/** The lower-case id of a user-assigned identity; undefined for a text that is not one, see {@link identityIdForm}. */
export function identityIdOf(resourceId: string): string | undefined {
  const trimmed = resourceId.trim();
  return identityPattern.test(trimmed) ? trimmed.toLowerCase() : undefined;
}

/** Every user-assigned identity that a text names, lower case, each once. Lists come quoted, comma-joined, or nested with escaped quotes. */
export const identityIdsIn = (text: string): string[] => [
  ...new Set([...unescaped(text).matchAll(new RegExp(identityText, 'gi'))].map(([id]) => id.toLowerCase())),
];

/** The text without the identities that `isOwn` refuses: a status of one namespace must not show what another one uses. */
export const redactIdentities = (text: string, isOwn: (id: string) => boolean): string =>
  unescaped(text).replaceAll(new RegExp(identityText, 'gi'), (id) => (isOwn(id.toLowerCase()) ? id : '<another identity>'));

const unescaped = (text: string): string => text.replaceAll('\\/', '/');
