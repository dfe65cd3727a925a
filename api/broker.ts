// What a sidecar and the broker say to each other (design 6). JSON over TLS, authenticated by the pod's bound token.
import type { IdentityType } from './kinds.ts';

export const identitiesPath = '/v1/identities';
export const tokenPath = '/v1/token';
export const reportPath = '/v1/report';

/** `Created` is pending, `Failed` pending with a terminal reason. */
export type IdentityState = 'Created' | 'Assigned' | 'Failed';

export interface IdentityRow {
  /** Name and namespace of the AzureIdentity. */
  name: string;
  namespace: string;
  /** `namespace/name` of the AzureIdentityBinding. */
  binding: string;
  type: IdentityType;
  clientID: string;
  /** ARM id for type 0, empty otherwise. */
  resourceID: string;
  objectID?: string;
  tenantID?: string;
  /** More tenants whose tokens come along, type 1 only. */
  auxiliaryTenantIDs?: string[];
  state: IdentityState;
  /** Why it is `Failed`, or what `Created` waits for. */
  reason?: string;
  /** RFC 3339, once Assigned. */
  assignedAt?: string;
}

/** 200 of `GET /v1/identities?wait=<seconds>&asOf=<cursor>`; the ETag is a hash of everything but `asOf`. */
export interface IdentitiesAnswer {
  pod: { name: string; namespace: string; uid: string; defaultIdentity?: string };
  /** The pod matches an AzurePodIdentityException at this moment. */
  excepted: boolean;
  /** Opaque: what the answering replica's caches had seen. Sent back so that no other replica answers from an older view. */
  asOf: string;
  /** PEM, every CA that may sign the broker's certificate now or next. */
  caBundle: string;
  /** In order of preference: the first is the default. */
  identities: IdentityRow[];
}

/** Body of `POST /v1/token`, types 1 and 2 only. */
export interface TokenRequest {
  /** `namespace/name` of the AzureIdentity. */
  identity: string;
  resource: string;
}

/**
 * 200 of `POST /v1/token`: a token in the shape of IMDS, where every value is a text. With auxiliary tenants an array of them, the own tenant's first
 * (spec/aad-pod-identity.md 3.3).
 */
export interface TokenAnswer {
  access_token: string;
  client_id: string;
  expires_in: string;
  expires_on: string;
  ext_expires_in: string;
  not_before: string;
  /** As the caller wrote it. */
  resource: string;
  token_type: 'Bearer';
}

/** Body of `POST /v1/report`: IMDS disagrees with a row. */
export interface ReportRequest {
  /** `namespace/name` of the AzureIdentity. */
  identity: string;
  reason: 'identity_not_found' | 'wrong_client_id';
  requestId: string;
}

/** Stable codes of broker refusals, in `{"error":{"code","message"}}`. The first three revoke; everything else is an outage to the sidecar. */
export const revokingCodes = ['pod_gone', 'pod_mismatch', 'not_participating'] as const;
export type BrokerErrorCode =
  | (typeof revokingCodes)[number]
  | 'unauthenticated'
  | 'not_ready'
  | 'bad_request'
  | 'not_found'
  | 'throttled'
  | 'token_failed'
  | 'internal';

export interface BrokerError {
  error: { code: BrokerErrorCode; message: string };
}
