// Whom the entries of a plan belong to. Pure.
import type { Need } from '../../lib/identities/need.ts';
import type { Write } from '../azure/arm/identity-map.ts';
import type { Entry, Quarantine } from './quarantine.ts';
import { suspicionOf } from './quarantine.ts';

/** An id that several namespaces want belongs to the least suspect of them, so that nobody becomes suspect by what others bind too. */
export function entriesOf({ attach, detach }: Write, needs: readonly Need[], quarantine: Quarantine, now: number): Entry[] {
  const namespaces = new Map<string, string>();
  const suspicion = new Map<string, number>();
  const suspicionOnce = (namespace: string): number => {
    const known = suspicion.get(namespace) ?? suspicionOf(quarantine, namespace, now);
    suspicion.set(namespace, known);
    return known;
  };
  for (const { identityId, match } of needs) {
    const { namespace } = match.identity;
    const owner = namespaces.get(identityId);
    const isLess = owner === undefined || suspicionOnce(namespace) < suspicionOnce(owner);
    const isEqualAndFirst = owner !== undefined && suspicionOnce(namespace) === suspicionOnce(owner) && namespace < owner;
    if (isLess || isEqualAndFirst) namespaces.set(identityId, namespace);
  }
  return [
    ...attach.map((id): Entry => ({ direction: 'attach', id, namespace: namespaces.get(id) ?? '' })),
    ...detach.map((id): Entry => ({ direction: 'detach', id, namespace: '' })),
  ];
}
