// The four kinds of aadpodidentity.k8s.io/v1 as the API server sends them: plain JSON, upstream's field names (docs/reference/aad-pod-identity.md).
// No field is required by the schema, so every one is optional here and the reader decides what a missing one means.

export interface ObjectMeta {
  name?: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
}

export interface SecretReference {
  name?: string;
  namespace?: string;
}

/**
 * 0 user-assigned managed identity, 1 service principal with a secret, 2 service principal with a certificate, 3 application or managed identity that
 * trusts the broker's service account already.
 */
export type IdentityType = 0 | 1 | 2 | 3;

export interface AzureIdentitySpec {
  /** Absent means 0. */
  type?: number;
  /** ARM id of the user-assigned identity, type 0. */
  resourceID?: string;
  clientID?: string;
  clientPassword?: SecretReference;
  tenantID?: string;
  auxiliaryTenantIDs?: string[] | null;
  adResourceID?: string;
  adEndpoint?: string;
  replicas?: number | null;
}

export interface AzureIdentity {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta;
  spec?: AzureIdentitySpec;
}

export interface AzureIdentityBindingSpec {
  /** Name of an AzureIdentity in the binding's own namespace. */
  azureIdentity?: string;
  /** Compared for equality with the pod label's value; not a label selector. */
  selector?: string;
  weight?: number;
}

export interface AzureIdentityBinding {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta;
  spec?: AzureIdentityBindingSpec;
}

export type AssignmentStatus = 'Created' | 'Assigned' | 'Unassigned';

export interface AzureAssignedIdentitySpec {
  azureIdentityRef?: AzureIdentity;
  azureBindingRef?: AzureIdentityBinding;
  pod?: string;
  podNamespace?: string;
  /** All lower case in upstream's JSON. */
  nodename?: string;
}

export interface AzureAssignedIdentity {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta;
  spec?: AzureAssignedIdentitySpec;
  /** `status.status` is an {@link AssignmentStatus}; empty on objects from MIC before 1.5. */
  status?: { status?: string; availableReplicas?: number };
}

export const plurals = {
  AzureIdentity: 'azureidentities',
  AzureIdentityBinding: 'azureidentitybindings',
  AzureAssignedIdentity: 'azureassignedidentities',
  AzurePodIdentityException: 'azurepodidentityexceptions',
} as const;

export type Kind = keyof typeof plurals;
