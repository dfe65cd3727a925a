// What stays of our containers as they are found in a pod: docs/adr/0029-what-other-admission-may-change.md. Whoever creates a pod can make a first
// submission look like a second one, so what stays must be harmless from a forger too. Pure.
import { at, isRecord } from '../../common/records.ts';
import { listOf } from '../../lib/identities/decision/container-view.ts';
import type { RawObject } from '../../lib/identities/decision/raw-pod.ts';
import { nameOf } from '../../lib/identities/decision/raw-pod.ts';
import { matchesExactly } from '../../lib/identities/glob.ts';
import { parseQuantity } from '../../lib/kube/quantity.ts';

/** What a container may keep besides its resources and its imagePullPolicy. */
export interface AllowedChanges {
  /** Patterns of images, with `*` for characters of one path segment. */
  images: readonly string[];
  /** Names of environment variables. */
  variables: readonly string[];
}

/** Our container with what may stay of the one that was found. Its resources come from `resourcesFor`. */
export function withFound(ours: RawObject, found: RawObject | undefined, allowed: AllowedChanges): RawObject {
  if (found === undefined) return ours;
  const own = listOf(ours.env);
  const added = allowedVariables(found.env, allowed);
  return {
    ...ours,
    ...(isPullPolicy(found.imagePullPolicy) ? { imagePullPolicy: found.imagePullPolicy } : {}),
    ...(isAllowedImage(found.image, allowed) ? { image: found.image } : {}),
    ...(added.length === 0 ? {} : { env: [...own, ...added] }),
  };
}

/** Of several with one name the last, which is the one that counts. A pod of 3 MB can have tens of thousands. */
function allowedVariables(env: unknown, { variables }: AllowedChanges): RawObject[] {
  const byName = new Map<string, RawObject>();
  for (const variable of listOf(env)) {
    if (!isRecord(variable) || !variables.includes(nameOf(variable))) continue;
    byName.delete(nameOf(variable));
    byName.set(nameOf(variable), variable);
  }
  return [...byName.values()];
}

const isPullPolicy = (value: unknown): boolean => typeof value === 'string' && ['Always', 'IfNotPresent', 'Never'].includes(value);

const isAllowedImage = (image: unknown, { images }: AllowedChanges): boolean =>
  typeof image === 'string' && images.some((pattern) => matchesExactly(pattern, image));

/** Others can bring devices, and with them files and variables, into a container. */
const harmlessResources = ['cpu', 'memory', 'ephemeral-storage'];

/** The requests or limits that may stay. */
export function foundAmounts(resources: unknown, field: 'requests' | 'limits'): Record<string, string> {
  const amounts = at(resources, field);
  if (!isRecord(amounts)) return {};
  return Object.fromEntries(
    Object.entries(amounts).flatMap(([name, amount]) =>
      harmlessResources.includes(name) && parseQuantity(amount) !== undefined ? [[name, String(amount)]] : [],
    ),
  );
}
