// What the emulated Azure is made of: plain data in tables. Handlers read it and answer with changes; nothing else writes it.
import type { KeyObject } from 'node:crypto';
import type { Settings } from './settings.ts';

export type SystemIdentity = { readonly principalId: string; readonly clientId: string; readonly tenantId: string };

/** One user-assigned identity on a resource. `principalId` is the incarnation that was attached: a recreated identity has another one. */
export type Attachment = { readonly id: string; readonly principalId: string };

export type AttachedIdentities = {
  readonly system: SystemIdentity | null;
  /** Keyed by the lower-cased resource id. */
  readonly user: Readonly<Record<string, Attachment>>;
};

export type ComputeResource = {
  readonly kind: 'scaleSet' | 'virtualMachine';
  /** In the case it was created with. */
  readonly id: string;
  readonly subscription: string;
  readonly resourceGroup: string;
  readonly name: string;
  readonly location: string;
  readonly orchestration: 'Uniform' | 'Flexible' | null;
  /** Instance numbers of a Uniform scale set. */
  readonly instances: readonly string[];
  /** Table key of the scale set that a Flexible VM belongs to. */
  readonly scaleSet: string | null;
  readonly tags: Readonly<Record<string, string>>;
  readonly identity: AttachedIdentities;
  readonly etag: number;
  readonly provisioningState: string;
  /** What IMDS sees and from when, oldest first. */
  readonly visible: readonly { readonly from: number; readonly identity: AttachedIdentities }[];
};

export type UserAssignedIdentity = {
  readonly id: string;
  readonly clientId: string;
  readonly principalId: string;
  readonly tenantId: string;
  readonly location: string;
  readonly federated: readonly FederatedCredential[];
  /** Entra's view of `federated`, which lags behind. */
  readonly trusts: readonly PropagatedTrust[];
  /** Until then a write of a credential is under way. */
  readonly writingUntil: number;
} & SignInState;

/** Whose tokens may be exchanged. */
export type Trust = { readonly issuer: string; readonly subject: string; readonly audiences: readonly string[] };

export type FederatedCredential = Trust & { readonly name: string };

/** A trust as the replicas of Entra know it: from and until when each does. */
export type PropagatedTrust = Trust & { readonly from: readonly number[]; readonly until: readonly number[] | null };

/** Why Entra gives an application or identity no token, whatever its credential. */
export type SignInState = {
  readonly disabled: boolean;
  /** By Conditional Access. */
  readonly blocked: boolean;
};

export type IdentityType = 'None' | 'SystemAssigned' | 'UserAssigned' | 'SystemAssigned, UserAssigned';

/** What a write wants of `identity`: `null` removes an entry, entries not named stay. */
export type IdentityUpdate = { readonly type: IdentityType; readonly user: Readonly<Record<string, { readonly id: string } | null>> };

export type Update = {
  readonly identity: IdentityUpdate | null;
  /** PUT: entries not named go. */
  readonly replace: boolean;
  readonly capacity: number | null;
  readonly tags: Readonly<Record<string, string>> | null;
};

export type ServiceError = { readonly code: string; readonly message: string };

export type Operation = {
  readonly id: string;
  /** Table key of the resource. */
  readonly resource: string;
  readonly subscription: string;
  readonly startedAt: number;
  /** null: it never ends. */
  readonly endsAt: number | null;
  readonly status: 'InProgress' | 'Succeeded' | 'Failed' | 'Canceled';
  readonly finishedAt: number | null;
  /** How it is going to end; `error` is set unless that is success. */
  readonly end: { readonly status: 'Succeeded' | 'Failed' | 'Canceled'; readonly error: ServiceError | null };
  readonly update: Update;
  /** The identities before it, where its update was applied when it was accepted; null where it is applied at the end. */
  readonly before: AttachedIdentities | null;
};

export type App = {
  readonly clientId: string;
  readonly objectId: string;
  readonly tenantId: string;
  readonly secrets: readonly { readonly value: string; readonly expires: number | null }[];
  /** PEM certificates. */
  readonly certificates: readonly string[];
  readonly federated: readonly { readonly issuer: string; readonly subject: string; readonly audience: string }[];
} & SignInState;

/** A token that IMDS keeps and hands out again. */
export type CachedToken = { readonly token: string; readonly issuedAt: number; readonly expiresAt: number; readonly notBefore: number };

export type Bucket = { readonly tokens: number; readonly at: number; readonly blockedUntil: number };

/** Everything that only the control address changes. */
export type Config = {
  readonly tenants: readonly { readonly id: string; readonly domains: readonly string[] }[];
  /** null: every principal may do everything. */
  readonly roles: readonly RoleAssignment[] | null;
  readonly denyAssignments: readonly DenyAssignment[];
  /** Token audiences that exist; null: any. */
  readonly audiences: readonly string[] | null;
  /** Issuers of federated assertions that are not fetched from their own address. */
  readonly issuers: readonly KnownIssuer[];
  /** The machine that the first IMDS listener stands for. */
  readonly vm: VmReference | null;
  /** What a state document leaves out of its entries. */
  readonly defaults: { readonly tenant: string; readonly subscription: string; readonly resourceGroup: string; readonly location: string };
  readonly settings: Settings;
};

export type KnownIssuer = {
  readonly issuer: string;
  /** Its public keys; null: they are fetched. */
  readonly keys: readonly KeyObject[] | null;
  /** Where its documents are fetched from, instead of the issuer's own address. */
  readonly url: string | null;
  readonly document: unknown;
};

export type RoleAssignment = {
  readonly principal: string;
  readonly scope: string;
  readonly actions: readonly string[];
  readonly role: string | null;
};
export type DenyAssignment = {
  readonly name: string;
  readonly scope: string;
  readonly actions: readonly string[];
  readonly except: readonly string[];
};

/** `instance` is the number inside a Uniform scale set, null for a virtual machine of its own. */
export type VmReference = { readonly resource: string; readonly instance: string | null };

export type Tables = {
  readonly resources: ComputeResource;
  readonly identities: UserAssignedIdentity;
  readonly operations: Operation;
  readonly apps: App;
  readonly tokens: CachedToken;
  readonly buckets: Bucket;
  /** Assertion ids already used, with the moment they expire. */
  readonly assertions: number;
};

export type TableName = keyof Tables;
export type State = { readonly [T in TableName]: ReadonlyMap<string, Tables[T]> } & { readonly config: Config };

/** One row set or (null) removed. Keys are lower-case resource ids or GUIDs. */
export type Change = { [T in TableName]: { readonly table: T; readonly key: string; readonly value: Tables[T] | null } }[TableName];
