// The protocol between sidecars and the broker: JSON over TLS, authenticated by the pod's bound token
// (docs/adr/0012-bound-tokens-for-sidecars.md).
//
// A sidecar lives as long as its pod, so it talks to older and newer brokers (docs/upgrade.md). A field is added and never changed or removed. Readers
// ignore fields that they do not know. A row with a value that a sidecar does not know affects that row alone.
import type { Selector } from './identity-choice.ts';

export const identitiesPath = '/v1/identities';
export const tokenPath = '/v1/token';
export const reportPath = '/v1/report';
/** For the node endpoint alone, which may call nothing else (docs/adr/0032-node-endpoint.md). */
export const hostTokenPath = '/v1/host-token';

/** `Created` is pending. `Failed` stays so until somebody changes the identity or its binding. */
export type IdentityState = 'Created' | 'Assigned' | 'Failed';

/**
 * What a sidecar and a node endpoint count, for the sums at the broker: responses for tokens by their result, those that took a second or more, and
 * requests to the broker that got no response. Each request carries what was counted since the last one that got a response, so a count may arrive
 * twice after a connection broke. A broker ignores names that it does not know.
 */
export const countNames = ['token', 'refused', 'throttled', 'unavailable', 'slow', 'broker_failures'] as const;
export type CountName = (typeof countNames)[number];

/** Such as `token:12,slow:1`: the query `counts` of a poll, the field `counts` of a {@link HostTokenRequest}. */
export const formatCounts = (counts: ReadonlyMap<CountName, number>): string =>
  [...counts].map(([name, count]) => `${name}:${count}`).join(',');

/** One identity of a pod. Name and namespace together are its key: two rows may have the same name. */
export interface IdentityRow {
  /** Name and namespace of the AzureIdentity. */
  name: string;
  namespace: string;
  /** `namespace/name` of the AzureIdentityBinding. */
  binding: string;
  /** `IdentityType` of api/kinds.ts, or one of a newer broker: `source` says all that a sidecar must know of it. */
  type: number;
  /** Who gives its tokens: IMDS of the node, or `POST /v1/token`. */
  source: 'imds' | 'broker';
  clientID: string;
  /** ARM id for type 0, empty otherwise. */
  resourceID: string;
  objectID?: string;
  tenantID?: string;
  /** Tenants whose tokens are returned along with the token of the own tenant, type 1 only. */
  auxiliaryTenantIDs?: string[];
  state: IdentityState;
  /** Why it is `Failed`, or what a `Created` one waits for. */
  reason?: string;
  /** RFC 3339, once `Assigned`. */
  assignedAt?: string;
}

/** 200 of `GET /v1/identities?wait=<seconds>&asOf=<cursor>&counts=<counts>`. The ETag is a hash of everything but `asOf`. */
export interface IdentitiesResponse {
  /** `defaultIdentity`: the pod's annotation, `name` or `namespace/name`. */
  pod: { name: string; namespace: string; uid: string; defaultIdentity?: string };
  /** The pod matches an AzurePodIdentityException at this moment. */
  excepted: boolean;
  /** Opaque cursor: how recent the caches of the replica are. The sidecar sends it back, and a replica with older caches waits. */
  asOf: string;
  /** PEM of every CA that may sign the broker's certificate now or next. */
  caBundle: string;
  /** In order of preference, those of the pod's own namespace first. The first is the default. */
  identities: IdentityRow[];
}

/** Body of `POST /v1/token`, for rows with the source `broker`. */
export interface TokenRequest {
  /** `namespace/name` of the AzureIdentity. */
  identity: string;
  resource: string;
  /** As in IMDS's parameter `xms_cc`: names of client capabilities, with commas between them. Types 1 and 2 have none. */
  capabilities?: string;
  /** As IMDS's `bypass_cache`: asks for a token that is in no cache. The broker limits how often it does so, and does not for types 1 and 2. */
  refresh?: boolean;
}

/**
 * 200 of `POST /v1/token`: a token in the shape of IMDS, where every value is a string. With auxiliary tenants it is a list of tokens, the own
 * tenant's first (docs/reference/aad-pod-identity.md).
 */
export interface TokenResponse {
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

/** Body of `POST /v1/host-token`: a pod of the endpoint's node. */
export interface HostTokenRequest {
  namespace: string;
  pod: string;
  resource: string;
  /** Absent: the default identity of the pod. */
  selector?: Selector;
  /** Seconds that the broker may hold the request until the identity is assigned, at most {@link maxHostTokenWait}. Absent: none. */
  wait?: number;
  /** {@link formatCounts}. */
  counts?: string;
}
export const maxHostTokenWait = 120;

/** 200 of `POST /v1/host-token`. */
export interface HostTokenResponse {
  /** Assigned. */
  identity: IdentityRow;
  /** Absent where IMDS of the node gives the token, as `source` says. Of auxiliary tenants only the own one's token. */
  token?: TokenResponse;
}

/** Body of `POST /v1/report`: IMDS contradicts a row. */
export interface ReportRequest {
  /** `namespace/name` of the AzureIdentity. */
  identity: string;
  reason: 'identity_not_found' | 'wrong_client_id';
  requestId: string;
}

/** Stable codes of error responses, in `{"error":{"code","message"}}`. The first three revoke; any other is an outage to the sidecar. */
export const revokingCodes = ['pod_gone', 'pod_mismatch', 'not_participating'] as const;

export type BrokerErrorCode =
  | (typeof revokingCodes)[number]
  | 'unauthenticated'
  | 'forbidden'
  | 'not_ready'
  | 'bad_request'
  | 'not_found'
  | 'throttled'
  | 'token_failed'
  | 'internal';

/** Body of every error. The code is stable. */
export interface BrokerErrorBody {
  /** `entraError`: OAuth's code of Entra's response, such as `invalid_resource`, where that decided. */
  error: { code: BrokerErrorCode; message: string; entraError?: string };
}
