// How the real system differs from the model.
import type { AzureAssignedIdentity } from '../../../../api/kinds.ts';
import type { OwnershipRecord } from '../../../../controller/scopes/ownership.ts';
import type { State } from '../../../azure/state/model.ts';
import { idOf } from '../../azure/fixtures.ts';
import { annotationOf, statusOf } from '../harness/observations.ts';
import type { Attribution } from './attribution.ts';
import { scopeIds } from './fixtures.ts';
import type { AzureName, ScopeName } from './history.ts';
import { azureNames, scopeNames } from './history.ts';
import type { ExpectedAssignment, Model } from './model.ts';
import { attachmentOf, expectedAssignments, namespaceOf } from './model.ts';

export interface Reality {
  objects: AzureAssignedIdentity[];
  azure: State;
  recordOf(scope: ScopeName): OwnershipRecord | undefined;
}

/** One line for each difference; none when system and model agree. */
export function differences(model: Model, reality: Reality, attribution: Attribution): string[] {
  const begun = (pod: string) => reality.objects.some(({ spec }) => `${spec?.podNamespace}/${spec?.pod}` === pod);
  const expected = expectedAssignments(model, begun);
  const objects = new Map(reality.objects.map((object) => [keyOf(object), object]));
  const needed = new Set(
    expected.flatMap((one) => {
      const name = attachmentOf(one);
      const object = objects.get(expectedKey(one));
      // One whose node is unknown keeps the side that it had when its identity was switched.
      const isAssigned = (one.status ?? (isFederated(object) ? '' : statusOf(object))) === 'Assigned';
      return name === undefined || !isAssigned ? [] : [`${one.scope} ${name}`];
    }),
  );
  const running = [...reality.azure.operations.values()].filter(({ status }) => status === 'InProgress');
  return [
    ...objectDifferences(expected, reality.objects, objects),
    ...scopeNames.flatMap((scope) => scopeDifferences(scope, needed, reality, attribution)),
    ...azureNames.flatMap((name) => credentialDifferences(name, expected, reality)),
    ...(running.length > 0 ? [`${running.length} operations are in progress`] : []),
  ];
}

/** The object is about a federated identity: its scope is the identity itself. */
export const isFederated = (object: AzureAssignedIdentity | undefined): boolean =>
  /\/userassignedidentities\//i.test(annotationOf(object, 'scope') ?? '');

/** Pod and identity, both with their namespaces. */
const expectedKey = ({ pod, identity }: ExpectedAssignment): string => `${pod} > ${identity}`;

function keyOf({ spec }: AzureAssignedIdentity): string {
  const { namespace, name } = spec?.azureIdentityRef?.metadata ?? {};
  return `${spec?.podNamespace}/${spec?.pod} > ${namespace}/${name}`;
}

function objectDifferences(
  expected: readonly ExpectedAssignment[],
  all: readonly AzureAssignedIdentity[],
  objects: ReadonlyMap<string, AzureAssignedIdentity>,
): string[] {
  const found: string[] = [];
  const keys = [expected.map(expectedKey), all.map(keyOf)].map((list) => list.sort().join(', '));
  if (keys[0] !== keys[1]) found.push(`objects: expected [${keys[0]}], there are [${keys[1]}]`);
  for (const one of expected) {
    const key = expectedKey(one);
    const object = objects.get(key);
    if (object === undefined) continue;
    const { status, bindings } = one;
    if (!hasRightName(object, one)) found.push(`${key}: the object is ${object.metadata.namespace}/${object.metadata.name}`);
    if (object.metadata.deletionTimestamp !== undefined) found.push(`${key} is being deleted`);
    if (status !== undefined && statusOf(object) !== status)
      found.push(`${key}: expected ${status}, is ${statusOf(object)} ${JSON.stringify(object.metadata.annotations)}`);
    if (status === 'Assigned' && one.azure !== 'principal' && isFederated(object) !== one.federated)
      found.push(`${key}: expected ${one.federated ? 'federated' : 'attached'}, its scope is ${annotationOf(object, 'scope')}`);
    const { namespace, name } = object.spec?.azureBindingRef?.metadata ?? {};
    if (!bindings.includes(`${namespace}/${name}`)) found.push(`${key}: expected a binding of ${bindings}, is ${namespace}/${name}`);
  }
  return found;
}

function hasRightName({ metadata }: AzureAssignedIdentity, { pod, identity, namespace, name }: ExpectedAssignment): boolean {
  if (metadata.namespace !== namespace) return false;
  if (metadata.name === name) return true;
  return namespaceOf(pod) !== namespaceOf(identity) && /^-[0-9a-f]{10}$/.test((metadata.name ?? '').slice(name.length));
}

/** What the scope carries against what pods need and others attached, and the ownership record against both. */
function scopeDifferences(scope: ScopeName, needed: ReadonlySet<string>, reality: Reality, attribution: Attribution): string[] {
  const found: string[] = [];
  const resource = reality.azure.resources.get(scopeIds[scope].toLowerCase());
  const entries = reality.recordOf(scope)?.identities;
  for (const name of azureNames) {
    const key = `${scope} ${name}`;
    const id = idOf(name).toLowerCase();
    const isThere = resource !== undefined && id in resource.identity.user;
    const isForeign = attribution.isForeign(key);
    const isUnknown = attribution.isUnknown(key);
    const must = needed.has(key) || (isForeign && !isUnknown);
    if (must && !isThere) found.push(`${key} is not attached`);
    if (isUnknown) continue;
    if (!must && isThere) found.push(`${key} is attached, though nothing needs it`);
    const entry = entries?.get(id);
    const isOwned = isThere && !isForeign;
    if (isOwned !== (entry !== undefined) || (entry !== undefined && entry.state !== 'owned'))
      found.push(`record of ${key}: ${entry?.state ?? 'none'}, attached ${isThere}, foreign ${isForeign}`);
  }
  if (scope === 'machine' && resource?.identity.system == null) found.push('the system-assigned identity is gone');
  return found;
}

/** One for each identity that is federated, for as long as the delay of an unused one: never a second one. */
function credentialDifferences(name: AzureName, expected: readonly ExpectedAssignment[], { azure }: Reality): string[] {
  const credentials = azure.identities.get(idOf(name).toLowerCase())?.federated ?? [];
  const isNeeded = expected.some((one) => one.azure === name && one.federated && one.status === 'Assigned');
  if (credentials.length > 1 || (isNeeded && credentials.length === 0)) return [`${name} has ${credentials.length} federated credentials`];
  return [];
}
