// identityPolicy: which AzureIdentity objects count, by their namespace and by the Azure identity that they name. Pure.

import { matchesGlob } from './glob.ts';
import type { Identity } from './identity.ts';
import type { LabelSelector } from './label-selector.ts';
import { matchesLabels } from './label-selector.ts';

/** Alternatives: one entry that permits an identity is enough. */
export type IdentityPolicy = readonly IdentityPolicyEntry[];

/** Every list that is given must match. `*` stays within one path segment; case does not count. */
export interface IdentityPolicyEntry {
  /** Of the AzureIdentity: names, or a selector for the labels of the namespace. */
  readonly namespaces?: readonly string[] | LabelSelector;
  readonly resourceIDs?: readonly string[];
  readonly clientIDs?: readonly string[];
  readonly tenantIDs?: readonly string[];
}

/** What the policy is about. Types 1 and 2 have no `identityId`; type 3 has one where its `clientID` is known to belong to a managed identity. */
export type PolicySubject = Pick<Identity, 'namespace' | 'type' | 'identityId' | 'clientID' | 'tenantID' | 'auxiliaryTenantIDs'>;

type Labels = Readonly<Record<string, string>>;

/**
 * Without a policy every identity is allowed but those of type 3. `namespaceLabels`: undefined for a namespace that is not known, which no selector
 * matches.
 */
export function isAllowed(policy: IdentityPolicy | undefined, subject: PolicySubject, namespaceLabels: Labels | undefined): boolean {
  if (subject.type === 3) return isAllowedByName(policy ?? [], subject, namespaceLabels);
  return policy === undefined || policy.some((entry) => permits(entry, subject, namespaceLabels));
}

/** Whether the labels of namespaces decide anything. */
export const selectsByLabels = (policy: IdentityPolicy | undefined): boolean =>
  policy?.some(({ namespaces }) => namespaces !== undefined && !isList(namespaces)) ?? false;

/** For the `reason` of a row and the Events: names only what the author of the AzureIdentity wrote. */
export const notAllowedMessage = ({ key, type }: Pick<Identity, 'key'> & Partial<Pick<Identity, 'type'>>): string =>
  type === 3
    ? `AzureIdentity ${key} is of type 3, which needs an entry of identityPolicy that names its clientID and its tenantID, without *: ask whoever runs the cluster`
    : `no entry of identityPolicy allows AzureIdentity ${key} with its namespace, resourceID, clientID and tenantIDs: ask whoever runs the cluster`;

/**
 * Every federated credential of a cluster trusts one subject, so naming a client id would be enough to get its tokens. An entry must name the client
 * and the tenant in full. A client id of a managed identity must be allowed by its resource id too.
 */
function isAllowedByName(policy: IdentityPolicy, subject: PolicySubject, labels: Labels | undefined): boolean {
  const isNamed = policy.some(
    (entry) =>
      entry.resourceIDs === undefined &&
      permitsNamespace(entry, subject.namespace, labels) &&
      names(entry.clientIDs, subject.clientID) &&
      names(entry.tenantIDs, subject.tenantID),
  );
  const ofResource: PolicySubject = { ...subject, type: 0 };
  return isNamed && (subject.identityId === undefined || policy.some((entry) => permits(entry, ofResource, labels)));
}

/**
 * Of a federated identity of type 0 in managed mode, where nobody has asked Azure which client id the resource has. One entry must permit the resource
 * and name the client and the tenant in full.
 */
export const isAllowedAsClaimed = (policy: IdentityPolicy | undefined, subject: PolicySubject, labels: Labels | undefined): boolean =>
  (policy ?? []).some(
    (entry) =>
      permits(entry, { ...subject, type: 0 }, labels) &&
      names(entry.clientIDs, subject.clientID) &&
      names(entry.tenantIDs, subject.tenantID),
  );

/** Without `*`: a pattern names nobody. */
const names = (list: readonly string[] | undefined, text: string): boolean =>
  text.trim() !== '' && (list ?? []).some((entry) => entry.toLowerCase() === text.trim().toLowerCase());

function permits(entry: IdentityPolicyEntry, subject: PolicySubject, labels: Labels | undefined): boolean {
  if (!permitsNamespace(entry, subject.namespace, labels)) return false;
  return subject.type === 0 ? permitsManagedIdentity(entry, subject) : permitsServicePrincipal(entry, subject);
}

function permitsNamespace({ namespaces }: IdentityPolicyEntry, namespace: string, labels: Labels | undefined): boolean {
  if (namespaces === undefined) return true;
  return isList(namespaces) ? matchesAny(namespaces, namespace) : labels !== undefined && matchesLabels(namespaces, labels);
}

/**
 * Azure attaches what `resourceID` says. The other ids of a managed identity are claims of its author, so they only narrow an entry that has
 * `resourceIDs`.
 */
function permitsManagedIdentity({ resourceIDs, clientIDs, tenantIDs }: IdentityPolicyEntry, subject: PolicySubject): boolean {
  if (resourceIDs === undefined) return clientIDs === undefined && tenantIDs === undefined;
  return (
    subject.identityId !== undefined &&
    matchesAny(resourceIDs, subject.identityId) &&
    (clientIDs === undefined || matchesAny(clientIDs, subject.clientID)) &&
    (tenantIDs === undefined || matchesAny(tenantIDs, subject.tenantID))
  );
}

/** A token is made for each of its tenants, so each must match. */
function permitsServicePrincipal({ resourceIDs, clientIDs, tenantIDs }: IdentityPolicyEntry, subject: PolicySubject): boolean {
  const tenants = [subject.tenantID, ...subject.auxiliaryTenantIDs];
  return (
    resourceIDs === undefined &&
    (clientIDs === undefined || matchesAny(clientIDs, subject.clientID)) &&
    (tenantIDs === undefined || tenants.every((tenant) => matchesAny(tenantIDs, tenant)))
  );
}

const matchesAny = (patterns: readonly string[], text: string): boolean => patterns.some((pattern) => matchesGlob(pattern, text.trim()));

const isList = (value: readonly string[] | LabelSelector): value is readonly string[] => Array.isArray(value);
