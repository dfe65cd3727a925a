// What an AzureAssignedIdentity holds of its AzureIdentity and its AzureIdentityBinding: what aad-pod-identity's NMI and MIC read of it
// (docs/reference/aad-pod-identity.md). Each pod has such a copy of its own, so the copies of one large identity would fill etcd.
import type {
  AzureAssignedIdentitySpec,
  AzureIdentity,
  AzureIdentityBinding,
  AzureIdentityBindingSpec,
  AzureIdentitySpec,
  ObjectMeta,
} from '../../api/kinds.ts';
import type { Match } from '../../lib/identities/match.ts';
import { at, stringAt, stringsAt } from '../../lib/kube/objects.ts';

/** Longest text of a field, in characters, as in the CRDs of the chart. Those of aad-pod-identity have no limit. A longer text is left out. */
const maxLengths = { name: 253, id: 256, url: 2048 };
const maxTenants = 20;

type References = Required<Pick<AzureAssignedIdentitySpec, 'azureIdentityRef' | 'azureBindingRef'>>;

export const referencesTo = ({ identity, binding }: Match): References => ({
  azureIdentityRef: { ...headOf(identity.object), spec: identityReferenceSpec(identity.object.spec) },
  azureBindingRef: { ...headOf(binding.object), spec: bindingReferenceSpec(binding.object.spec) },
});

/** Applied to its own result, it changes nothing. So an object that was written is not written again. */
export function identityReferenceSpec(spec: unknown): AzureIdentitySpec {
  const type = at(spec, 'type');
  const tenants = stringsAt(spec, 'auxiliaryTenantIDs')
    .flatMap((tenant) => shortText(tenant, maxLengths.id) ?? [])
    .slice(0, maxTenants);
  const secret = at(spec, 'clientPassword');
  const password = { ...textAt(secret, 'name', maxLengths.name), ...textAt(secret, 'namespace', maxLengths.name) };
  return {
    ...(typeof type === 'number' ? { type } : {}),
    ...textAt(spec, 'resourceID', maxLengths.url),
    ...textAt(spec, 'clientID', maxLengths.id),
    ...(Object.keys(password).length === 0 ? {} : { clientPassword: password }),
    ...textAt(spec, 'tenantID', maxLengths.id),
    ...(tenants.length === 0 ? {} : { auxiliaryTenantIDs: tenants }),
    ...textAt(spec, 'adEndpoint', maxLengths.url),
  };
}

export const bindingReferenceSpec = (spec: unknown): AzureIdentityBindingSpec => ({
  ...textAt(spec, 'azureIdentity', maxLengths.name),
  ...textAt(spec, 'selector', maxLengths.name),
});

/** MIC writes every object anew whose `resourceVersion` here is not that of the AzureIdentity. */
function headOf(object: AzureIdentity | AzureIdentityBinding): Pick<AzureIdentity, 'apiVersion' | 'kind' | 'metadata'> {
  const metadata: ObjectMeta = {
    ...textAt(object.metadata, 'name', maxLengths.name),
    ...textAt(object.metadata, 'namespace', maxLengths.name),
    ...textAt(object.metadata, 'uid', maxLengths.name),
    ...textAt(object.metadata, 'resourceVersion', maxLengths.name),
  };
  return { ...textAt(object, 'apiVersion', maxLengths.name), ...textAt(object, 'kind', maxLengths.name), metadata };
}

function textAt<K extends string>(record: unknown, key: K, max: number): { [P in K]?: string } {
  const text = shortText(stringAt(record, key), max);
  return text === undefined ? {} : ({ [key]: text } as { [P in K]: string });
}

function shortText(text: string | undefined, max: number): string | undefined {
  const trimmed = text?.trim() ?? '';
  return trimmed === '' || trimmed.length > max ? undefined : trimmed;
}
