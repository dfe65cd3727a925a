import type { AzureIdentityBinding } from '../../api/kinds.ts';
import { apiGroup, apiVersion } from '../../api/names.ts';
import { keyOf } from '../kube/informer.ts';
import { metadataOf, stringAt } from '../kube/objects.ts';
import { specOf } from '../kube/old-fields.ts';

/** What is kept of an AzureIdentityBinding. */
export interface Binding {
  key: string;
  namespace: string;
  name: string;
  /** The identity lies in the namespace of the binding. */
  identityKey: string;
  selector: string;
  /** Metadata without managed fields, and spec. An AzureAssignedIdentity holds a few short fields of it. */
  object: AzureIdentityBinding;
}

/** Blanks around both names do not count: a name and a label value have none, so they can only come from a template or an editor. */
export function bindingOf(raw: unknown): Binding | undefined {
  const metadata = metadataOf(raw);
  if (metadata.namespace === undefined || metadata.name === undefined) return undefined;
  const spec = specOf(raw);
  return {
    key: keyOf(metadata),
    namespace: metadata.namespace,
    name: metadata.name,
    identityKey: `${metadata.namespace}/${stringAt(spec, 'azureIdentity')?.trim() ?? ''}`,
    selector: stringAt(spec, 'selector')?.trim() ?? '',
    object: { apiVersion: `${apiGroup}/${apiVersion}`, kind: 'AzureIdentityBinding', metadata, ...(spec === undefined ? {} : { spec }) },
  };
}
