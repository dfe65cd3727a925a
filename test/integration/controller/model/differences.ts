// How the real system differs from the model.
import type { AzureAssignedIdentity } from '../../../../api/kinds.ts';
import type { OwnershipRecord } from '../../../../controller/scopes/ownership.ts';
import type { State } from '../../../azure/state/model.ts';
import { idOf } from '../../azure/fixtures.ts';
import { statusOf } from '../harness/observations.ts';
import { scopeIds } from './azure.ts';
import type { Model } from './expected.ts';
import { attachmentOf, expectedAssignments } from './expected.ts';
import type { ForeignHand } from './foreign-hand.ts';
import type { ScopeName } from './history.ts';
import { azureNames, scopeNames } from './history.ts';

export interface Reality {
  objects: AzureAssignedIdentity[];
  azure: State;
  recordOf(scope: ScopeName): OwnershipRecord | undefined;
}

export function differences(model: Model, reality: Reality, hand: ForeignHand): string[] {
  const begun = (pod: string) => reality.objects.some(({ spec }) => `${spec?.podNamespace}/${spec?.pod}` === pod);
  const expected = expectedAssignments(model, begun);
  const actual = new Map(reality.objects.map((object) => [`${object.metadata.namespace}/${object.metadata.name}`, object]));
  const found: string[] = [];

  const keys = [expected.map(({ key }) => key), [...actual.keys()].sort()].map((list) => list.join(' '));
  if (keys[0] !== keys[1]) found.push(`objects: expected [${keys[0]}], there are [${keys[1]}]`);
  for (const { key, status, binding } of expected) {
    const object = actual.get(key);
    if (object === undefined) continue;
    if (object.metadata.deletionTimestamp !== undefined) found.push(`${key} is being deleted`);
    if (status !== undefined && statusOf(object) !== status)
      found.push(`${key}: expected ${status}, is ${statusOf(object)} ${JSON.stringify(object.metadata.annotations)}`);
    const { namespace, name } = object.spec?.azureBindingRef?.metadata ?? {};
    if (`${namespace}/${name}` !== binding) found.push(`${key}: expected binding ${binding}, is ${namespace}/${name}`);
  }

  const needed = new Set(
    expected.flatMap((one) => {
      const name = attachmentOf(one);
      const isAssigned = (one.status ?? statusOf(actual.get(one.key))) === 'Assigned';
      return name === undefined || !isAssigned ? [] : [`${one.scope} ${name}`];
    }),
  );
  for (const scope of scopeNames) {
    const resource = reality.azure.resources.get(scopeIds[scope].toLowerCase());
    const entries = reality.recordOf(scope)?.identities;
    for (const name of azureNames) {
      const key = `${scope} ${name}`;
      const id = idOf(name).toLowerCase();
      const isThere = resource !== undefined && id in resource.identity.user;
      const entry = entries?.get(id);
      const must = needed.has(key) || (hand.isForeign(key) && !hand.isDoubtful(key));
      if (must && !isThere) found.push(`${key} is not attached`);
      if (hand.isDoubtful(key)) continue;
      if (!must && isThere) found.push(`${key} is attached, though nothing needs it`);
      const isOurs = isThere && !hand.isForeign(key);
      if (isOurs !== (entry !== undefined) || (entry !== undefined && entry.state !== 'owned'))
        found.push(`record of ${key}: ${entry?.state ?? 'none'}, attached ${isThere}, foreign ${hand.isForeign(key)}`);
    }
    if (scope === 'machine' && resource?.identity.system == null) found.push('the system-assigned identity is gone');
  }
  const running = [...reality.azure.operations.values()].filter(({ status }) => status === 'InProgress');
  if (running.length > 0) found.push(`${running.length} operations are under way`);
  return found;
}
