// What the webhook needs to know of a pod's namespace.
import { annotations } from '../api/names.ts';
import type { Clock } from '../common/clock.ts';
import { stringAt, stringMapAt } from '../common/records.ts';
import { pickNamespaceAnnotations } from '../lib/identities/decision/annotations.ts';
import type { NamespaceFacts } from '../lib/identities/decision/decide.ts';
import type { GuardSelection } from '../lib/identities/decision/guard.ts';
import { guardWarningsOf, isGuarded, parseGuardAllow } from '../lib/identities/decision/guard.ts';
import { namespaceOf } from '../lib/identities/namespace.ts';
import type { Informer } from '../lib/kube/informer.ts';

export function namespaceFactsOf(raw: unknown, guard: GuardSelection): NamespaceFacts {
  const namespace = namespaceOf(raw) ?? { name: '', labels: {} };
  const guarded = isGuarded(namespace, guard);
  const guardAllow = stringAt(raw, 'metadata', 'annotations', annotations.guardAllow) ?? '';
  return {
    name: namespace.name,
    podSecurity: stringAt(raw, 'metadata', 'labels', 'pod-security.kubernetes.io/enforce'),
    interception: stringAt(raw, 'metadata', 'annotations', annotations.interception),
    defaults: pickNamespaceAnnotations(stringMapAt(raw, 'metadata', 'annotations')),
    guarded,
    guardAllow: parseGuardAllow(guardAllow).allowed,
    guardWarnings: guardWarningsOf(namespace, guard, { isActive: guarded, guardAllow }),
  };
}

/**
 * A namespace that is created right before its first pod may reach the informer after the pod's review. Resolves once it is there, or after
 * `waitMs` with the name alone.
 */
export async function waitForNamespace(
  informer: Pick<Informer<NamespaceFacts>, 'get' | 'onChange'>,
  name: string,
  waitMs: number,
  clock: Clock,
): Promise<NamespaceFacts> {
  const known = informer.get(name);
  if (known !== undefined) return known;
  return new Promise((resolve) => {
    const finish = (facts: NamespaceFacts) => {
      cancel();
      unsubscribe();
      resolve(facts);
    };
    const cancel = clock.after(waitMs, () => finish({ name }));
    const unsubscribe = informer.onChange(({ key, after }) => {
      if (key === name && after !== undefined) finish(after);
    });
  });
}
