// A pod read once from its JSON, for everything that decides about it or changes it.
import { injectedVolumeNames } from '../../../api/injection.ts';
import { annotations, bindingLabel, injectedLabel } from '../../../api/names.ts';
import { at, stringAt } from '../../../common/records.ts';
import { isWindows, isWindowsOnly } from '../windows.ts';
import type { ContainerField, ContainerView, DeclaredId } from './container-view.ts';
import { declaredIds, hasAmounts, isGuaranteed, listOf, viewContainer } from './container-view.ts';
import { injectedIn, injectionIn, ownContainers } from './injected-parts.ts';
import type { RawObject, RawPod, StringMap } from './raw-pod.ts';
import { nameOf, parseRawPod } from './raw-pod.ts';
import type { SkipFacts } from './skip.ts';

/**
 * Immutable. All but `raw` and `injectedContainers` leave out what an earlier admission injected, so that a pod that passes the webhook again,
 * or that is a copy of an injected one, reads like a new pod.
 */
export interface PodView extends SkipFacts {
  /** As it was sent, with the injected parts. */
  readonly raw: RawPod;
  readonly hostPID: boolean;
  /** No Linux node runs the pod. `windows` is also true for one with windowsOptions alone. */
  readonly windowsOnly: boolean;
  readonly labels: StringMap;
  /** The pod has the binding label, empty or not. */
  readonly labelled: boolean;
  readonly annotations: StringMap;
  readonly owners: readonly Owner[];
  readonly initContainers: readonly ContainerView[];
  readonly containers: readonly ContainerView[];
  /** Init containers, containers, ephemeral containers. */
  readonly allContainers: readonly ContainerView[];
  readonly volumes: readonly RawObject[];
  /** Of the pod and of all its containers. */
  readonly ids: readonly DeclaredId[];
  readonly restartPolicy: string;
  /** The pod declares resources as a whole, not only by container. An empty `resources` declares none. */
  readonly podLevelResources: boolean;
  /** The containers make the pod QoS class Guaranteed. */
  readonly guaranteed: boolean;
  /** The pod tolerates virtual nodes (Azure Container Instances). */
  readonly virtualNode: boolean;
  /** The pod as it was sent has parts of an earlier admission. */
  readonly hasInjectedParts: boolean;
  /** By name, as found: other admission may have changed them, or whoever forged them. Empty for a copy without the status annotation. */
  readonly injectedContainers: ReadonlyMap<string, RawObject>;
}

export interface Owner {
  readonly apiVersion: string;
  readonly kind: string;
}

const none: StringMap = {};

/** Throws {@link PodShapeError} for a value that is not a pod. */
export function parsePod(value: unknown): PodView {
  const raw = parseRawPod(value);
  const { metadata, spec } = raw;
  const labels = without(metadata.labels ?? none, injectedLabel);
  const own = without(metadata.annotations ?? none, annotations.status);
  const injection = injectionIn(raw);

  const view = (field: ContainerField) => (spec[field] ?? []).map((container) => viewContainer(container, field));
  const viewOwn = (field: ContainerField) =>
    injection === undefined ? view(field) : ownContainers(spec[field] ?? []).map((container) => viewContainer(container, field));
  const initContainers = viewOwn('initContainers');
  const containers = viewOwn('containers');
  const allContainers = [...initContainers, ...containers, ...view('ephemeralContainers')];
  const volumes = spec.volumes ?? [];

  return {
    raw,
    labels,
    labelled: labels[bindingLabel] !== undefined,
    annotations: own,
    owners: ownersOf(metadata.ownerReferences),
    selector: labels[bindingLabel] ?? '',
    mirror: own['kubernetes.io/config.mirror'] !== undefined,
    optedOut: own[annotations.inject] === 'false',
    windows: isWindows(raw),
    windowsOnly: isWindowsOnly(raw),
    hostNetwork: spec.hostNetwork === true,
    hostPID: spec.hostPID === true,
    initContainers,
    containers,
    allContainers,
    volumes: injection === undefined ? volumes : volumes.filter((volume) => !injectedVolumeNames.has(nameOf(volume))),
    ids: [...podIds(spec.securityContext), ...allContainers.flatMap((container) => container.ids)],
    restartPolicy: stringAt(spec, 'restartPolicy') ?? 'Always',
    podLevelResources: hasAmounts(spec.resources),
    guaranteed: isGuaranteedByAll([...containers, ...initContainers]),
    virtualNode: listOf(spec.tolerations).some((toleration) => at(toleration, 'key') === 'virtual-kubelet.io/provider'),
    hasInjectedParts: injection !== undefined,
    injectedContainers: new Map(injection === 'status' ? injectedIn(raw).map((container) => [nameOf(container), container]) : []),
  };
}

/** Status and marker may only stand on a pod that the webhook returns. */
function without(map: StringMap, key: string): StringMap {
  if (!Object.hasOwn(map, key)) return map;
  const { [key]: _removed, ...own } = map;
  return own;
}

function podIds(securityContext: unknown): DeclaredId[] {
  const groups = listOf(at(securityContext, 'supplementalGroups')).filter((id) => typeof id === 'number');
  return [
    ...declaredIds(securityContext, 'spec.securityContext', ['runAsUser', 'runAsGroup', 'fsGroup']),
    ...groups.map((id) => ({ place: 'spec.securityContext.supplementalGroups', id })),
  ];
}

function ownersOf(references: unknown): Owner[] {
  return listOf(references).map((owner) => ({ apiVersion: stringAt(owner, 'apiVersion') ?? '', kind: stringAt(owner, 'kind') ?? '' }));
}

function isGuaranteedByAll(containers: readonly ContainerView[]): boolean {
  return containers.length > 0 && containers.every(({ raw }) => isGuaranteed(raw));
}
