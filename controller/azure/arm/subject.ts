// What an error of Resource Manager is about: an identity of the write, one that was attached before, another resource, or the scope itself. Pure.
// Azure tells it by its text only (docs/reference/arm.md#identity-errors).

import type { Scope } from '../../../lib/azure/resource-ids.ts';
import { identityIdsIn } from '../../../lib/azure/resource-ids.ts';

/** The write that an error answers. All ids lower case. */
export interface WriteContext {
  readonly scope: Pick<Scope, 'id'>;
  /** Ids that it attaches or detaches. */
  readonly written: readonly string[];
  /** Ids that were attached before it. */
  readonly attached: Pick<ReadonlySet<string>, 'has'> & { keys(): Iterable<string> };
}

/**
 * `identity`: of the write, or the error is about identities and names none. `attached`: an identity that the write does not touch. `other`: neither
 * an identity nor the scope. `unnamed`: an error of a write that says nothing of it.
 */
export type About = 'identity' | 'attached' | 'other' | 'scope' | 'unnamed';

export interface Subject {
  readonly about: About;
  /** Identities that Azure names, lower case. */
  readonly ids: readonly string[];
  /** What Azure forbids, and where. */
  readonly action?: string | undefined;
  readonly scope?: string | undefined;
}

/** `write`: undefined for a read, which can be about nothing but its scope. */
export function subjectOf(azureCode: string, text: string, details: unknown, write: WriteContext | undefined): Subject {
  const forbidden = forbiddenIn(text);
  if (write === undefined) return { about: 'scope', ids: [], ...forbidden };
  const ids = identityIdsIn(text);
  if (ids.length > 0) return { about: ofIdentities(ids, write), ids };
  return (
    ofParent(text, forbidden, write) ??
    ofForbidden(azureCode, forbidden, write) ??
    ofPolicy(azureCode, details) ??
    ofMissingResource(text, write) ?? { about: 'unnamed', ids: [] }
  );
}

function ofIdentities(ids: readonly string[], { written, attached }: WriteContext): About {
  const isWritten = ids.some((id) => written.includes(id));
  return !isWritten && ids.some((id) => attached.has(id)) ? 'attached' : 'identity';
}

type Forbidden = Pick<Subject, 'action' | 'scope'>;

/**
 * The action that is forbidden comes directly before its scope. A text can begin with another one that is allowed: `has permission to perform action
 * '..' on scope '..'; however, ...`. Where a tenant is refused, that one is all there is.
 */
function forbiddenIn(text: string): Forbidden | undefined {
  const action = "action(?:\\(s\\)|s)? '([^']+)'";
  const direct = new RegExp(`${action} (?:on the linked scope(?:\\(s\\)|s)?|over scope) '([^']+)'`, 'i').exec(text);
  if (direct !== null) return { action: direct[1], scope: direct[2] };
  const subscription = /linked subscription '([^']+)'/i.exec(text)?.[1];
  if (subscription === undefined) return undefined;
  return { action: new RegExp(action, 'i').exec(text)?.[1], scope: `/subscriptions/${subscription}` };
}

const isAssign = (action: string | undefined): boolean => action !== undefined && /(^|\/)assign\/action/i.test(action);

const isCompute = (action: string): boolean => /^Microsoft\.Compute\/virtualMachine/i.test(action);

interface Parent {
  readonly kind: 'subscription' | 'group';
  /** Part of the ids in it, lower case. */
  readonly path: string;
}

/**
 * A linked subscription, or a resource group that was not found. An identity in another tenant is named by its subscription only:
 * `the current tenant '..' is not authorized to access linked subscription '..'`, `the linked subscription '..' was not found`
 * (Azure/aad-pod-identity issues 752 and 397).
 */
function parentIn(text: string): Parent | undefined {
  const subscription = /linked subscription '([^']+)'/i.exec(text)?.[1];
  if (subscription !== undefined) return { kind: 'subscription', path: `/subscriptions/${subscription.toLowerCase()}/` };
  const group = /(?<!under )resource group '([^']+)' (?:could not be|was not) found/i.exec(text)?.[1];
  return group === undefined ? undefined : { kind: 'group', path: `/resourcegroups/${group.toLowerCase()}/` };
}

/** It may be the parent of an identity or of something else, such as the image of the set. */
function ofParent(text: string, forbidden: Forbidden | undefined, { scope, written, attached }: WriteContext): Subject | undefined {
  const parent = parentIn(text);
  if (parent === undefined) return undefined;
  const isIn = (id: string) => id.includes(parent.path);
  const mayBeIdentity = forbidden?.action === undefined || isAssign(forbidden.action);
  const ids = mayBeIdentity ? written.filter(isIn) : [];
  // Groups of one name are in several subscriptions, so of several ids it is not known which one is meant.
  if (ids.length > 0) return { about: 'identity', ids: parent.kind === 'subscription' || ids.length === 1 ? ids : [] };
  if (mayBeIdentity && [...attached.keys()].some(isIn)) return { about: 'attached', ids: [] };
  if (isAssign(forbidden?.action)) return { about: 'identity', ids: [] };
  return { about: parent.kind === 'group' && isIn(scope.id) ? 'scope' : 'other', ids: [], ...forbidden };
}

/** Linked access is checked for what the body names and for what the scope refers to; without an action it is taken for that of an identity. */
function ofForbidden(azureCode: string, forbidden: Forbidden | undefined, { scope }: WriteContext): Subject | undefined {
  const isLinked = /^Linked(AuthorizationFailed|AccessCheckFailed)$/i.test(azureCode);
  if (!(isLinked || /AuthorizationFailed$/i.test(azureCode))) return undefined;
  if (forbidden === undefined) return { about: isLinked ? 'identity' : 'scope', ids: [] };
  if (isAssign(forbidden.action)) return { about: 'identity', ids: [] };
  const isScope = isCompute(forbidden.action ?? '') || forbidden.scope?.toLowerCase() === scope.id;
  return { about: isScope ? 'scope' : 'other', ids: [], ...forbidden };
}

/** An Azure Policy can judge the identities of a scale set. Its evaluation says so, and lists all of them, so it names no culprit. */
function ofPolicy(azureCode: string, details: unknown): Subject | undefined {
  if (!/^RequestDisallowedBy/i.test(azureCode)) return undefined;
  return /"(?:expression|path)":"[^"]*identit(?:y|ies)/i.test(JSON.stringify(details) ?? '') ? { about: 'identity', ids: [] } : undefined;
}

/** `The Resource '<type>/<name>' under resource group '<name>' was not found`, or `Resource <id> referenced by resource <id> was not found`. */
function ofMissingResource(text: string, { scope }: WriteContext): Subject | undefined {
  const byType = /The Resource '([^'/]+\/[^'/]+)\/([^']+)' under resource group '([^']+)' was not found/i.exec(text);
  const referenced = /Resource '?(\/subscriptions\/[^\s']+)'? referenced by/i.exec(text)?.[1]?.toLowerCase();
  const type = byType?.[1]?.toLowerCase() ?? /\/providers\/([^/]+\/[^/]+)\//.exec(referenced ?? '')?.[1];
  if (type === undefined) return undefined;
  if (type === 'microsoft.managedidentity/userassignedidentities') return { about: 'identity', ids: [] };
  const isScope =
    referenced === scope.id ||
    (byType !== null && scope.id.endsWith(`/resourcegroups/${byType[3]}/providers/${byType[1]}/${byType[2]}`.toLowerCase()));
  return { about: isScope ? 'scope' : 'other', ids: [] };
}
