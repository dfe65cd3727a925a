// What other admission, or a forger, changed of our containers and volumes, and does not stay.
import { isDeepStrictEqual } from 'node:util';
import { injectedVolumeNames } from '../../api/injection.ts';
import { at, isRecord } from '../../common/records.ts';
import { listOf } from '../../lib/identities/decision/container-view.ts';
import type { PodView } from '../../lib/identities/decision/pod-view.ts';
import type { RawObject } from '../../lib/identities/decision/raw-pod.ts';
import { nameOf } from '../../lib/identities/decision/raw-pod.ts';

/** The API server cuts each warning at 256 characters and all together at 4096. */
const longestLine = 256;
/** Names in a pod can fill its 3 MB. */
const mostFields = 40;
const longestField = 80;

const remedy =
  'of the injected containers, other admission may change resources, imagePullPolicy, and what the chart allows by image.sidecar.allowedRewrites and sidecar.allowedEnv';

/** Each line names fields of one container that were found and are not in the rendered pod. */
export function resetWarnings(pod: PodView, rendered: RawObject): string[] {
  const containers = [...listOf(at(rendered, 'spec', 'initContainers')), ...listOf(at(rendered, 'spec', 'containers'))].filter(isRecord);
  const lines = [...pod.injectedContainers].flatMap(([name, found]) => {
    const container = containers.find((each) => nameOf(each) === name);
    return container === undefined ? [] : packed(`${name} is reset: `, changedFields(found, container));
  });
  lines.push(...packed('spec.volumes is reset: ', changedVolumes(pod, rendered)));
  return lines.length === 0 ? [] : [...lines, remedy];
}

function changedVolumes({ hasInjectedParts, raw }: PodView, rendered: RawObject): string[] {
  if (!hasInjectedParts) return [];
  const after = listOf(at(rendered, 'spec', 'volumes'));
  return (raw.spec.volumes ?? [])
    .filter((volume) => injectedVolumeNames.has(nameOf(volume)) && !after.some((each) => isDeepStrictEqual(each, volume)))
    .map(nameOf);
}

/** Fields that differ: `image`, `env[NAME]`, `securityContext.privileged`, `resources.limits[NAME]`. */
function changedFields(found: RawObject, rendered: RawObject): string[] {
  const names = new Set([...Object.keys(found), ...Object.keys(rendered)]);
  names.delete('resources');
  return [
    ...[...names].flatMap((name) => changesOf(name, found[name], rendered[name])),
    ...lostAmounts(found.resources, rendered.resources),
  ];
}

function changesOf(name: string, found: unknown, rendered: unknown): string[] {
  if (isDeepStrictEqual(found, rendered)) return [];
  const [before, after] = [namedItems(found), namedItems(rendered)];
  if (before !== undefined && after !== undefined) {
    const missing = (from: readonly RawObject[], to: readonly RawObject[]) =>
      from.filter((item) => !to.some((other) => item.name === other.name && isDeepStrictEqual(item, other))).map(nameOf);
    return [...new Set([...missing(before, after), ...missing(after, before)])].map((item) => `${name}[${item}]`);
  }
  if (!isRecord(found) || !isRecord(rendered)) return [name];
  const members = new Set([...Object.keys(found), ...Object.keys(rendered)]);
  return [...members].filter((member) => !isDeepStrictEqual(found[member], rendered[member])).map((member) => `${name}.${member}`);
}

/** An absent list counts as empty. */
function namedItems(value: unknown): readonly RawObject[] | undefined {
  const items: unknown = value ?? [];
  return Array.isArray(items) && items.every((item) => isRecord(item) && typeof item.name === 'string') ? items : undefined;
}

/** Amounts that the webhook adds are no change of what was found. */
function lostAmounts(found: unknown, rendered: unknown): string[] {
  if (!isRecord(found)) return [];
  return Object.entries(found).flatMap(([field, amounts]) => {
    if (!isRecord(amounts)) return isDeepStrictEqual(amounts, at(rendered, field)) ? [] : [`resources.${field}`];
    return Object.keys(amounts)
      .filter((name) => !isDeepStrictEqual(amounts[name], at(rendered, field, name)))
      .map((name) => `resources.${field}[${name}]`);
  });
}

/** Lines that begin with `start` and together name the fields. */
function packed(start: string, fields: readonly string[]): string[] {
  const named = fields.slice(0, mostFields).map((field) => field.slice(0, longestField).replaceAll(/\s+/g, ' '));
  if (fields.length > mostFields) named.push(`${fields.length - mostFields} more`);
  const lines: string[] = [];
  for (const field of named) {
    const longer = `${lines.at(-1) ?? ''}, ${field}`;
    if (lines.length === 0 || longer.length > longestLine) lines.push(start + field);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}
