// Objects for unit tests, as the informers keep them.
import assert from 'node:assert/strict';
import type { ObjectMeta } from '../../../api/kinds.ts';
import type { Assignment } from '../assignment.ts';
import { assignmentOf } from '../assignment.ts';
import type { Binding } from '../binding.ts';
import { bindingOf } from '../binding.ts';
import type { FederationRecord } from '../federation/record.ts';
import type { ListedRecord } from '../federation/records.ts';
import type { Identity } from '../identity.ts';
import { identityOf } from '../identity.ts';
import type { Pod } from '../pod.ts';
import { podOf } from '../pod.ts';

export function pod(overrides: Partial<Pod> = {}): Pod {
  const made = podOf({
    metadata: { namespace: 'app', name: 'web', uid: 'u1', labels: { aadpodidbinding: 'sel' } },
    spec: { nodeName: 'n1' },
  });
  assert.ok(made);
  return { ...made, injected: true, ...overrides };
}

export function identity(key: string, overrides: Partial<Identity> = {}): Identity {
  const [namespace, name] = key.split('/');
  const resourceID = `/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`;
  const made = identityOf({ metadata: { namespace, name }, spec: { type: 0, resourceID, clientID: `client-${name}` } });
  assert.ok(made);
  return { ...made, ...overrides };
}

/** `metadata`: such as `creationTimestamp` and `uid`, which decide the order of bindings. */
export function binding(key: string, identityName: string, selector = 'sel', metadata: ObjectMeta = {}): Binding {
  const [namespace, name] = key.split('/');
  const made = bindingOf({ metadata: { namespace, name, ...metadata }, spec: { azureIdentity: identityName, selector } });
  assert.ok(made);
  return made;
}

/** The object that the controller would have written for this match. */
export function assignment(of: Pod, to: Identity, by: Binding, overrides: Partial<Assignment> = {}): Assignment {
  const made = assignmentOf({
    metadata: {
      namespace: 'default',
      name: `${of.name}-${of.namespace}-${to.name}`,
      uid: 'a1',
      annotations: { 'aadpodidentity.k8s.io/pod-uid': of.uid },
    },
    spec: { azureIdentityRef: to.object, azureBindingRef: by.object, pod: of.name, podNamespace: of.namespace, nodename: of.node },
    status: { status: 'Assigned' },
  });
  assert.ok(made);
  return { ...made, ...overrides };
}

/** Proven, of a managed identity without a name of its own. */
export const federationRecord = (changes: Partial<FederationRecord> = {}): ListedRecord => ({
  resourceVersion: '1',
  identity: '/subscriptions/s/resourcegroups/g/providers/microsoft.managedidentity/userassignedidentities/i',
  clientId: 'client',
  tenantId: 'tenant',
  objectId: 'object',
  issuer: 'https://oidc.example/',
  subject: 'system:serviceaccount:aad:aad-pod-identity-broker',
  audience: 'api://AzureADTokenExchange',
  credential: { name: 'c', owned: true, createdAt: '2025-12-01T00:00:00Z' },
  provenAt: '2025-12-01T00:00:10Z',
  former: [],
  unusedSince: undefined,
  ...changes,
});
