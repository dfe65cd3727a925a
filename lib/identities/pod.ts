import { annotations, bindingLabel, proxyContainerName } from '../../api/names.ts';
import { keyOf } from '../kube/informer.ts';
import { at, metadataOf, stringAt } from '../kube/objects.ts';
import { internMap, internText } from './intern.ts';
import { isWindows } from './windows.ts';

/** What is kept of a labelled pod. */
export interface Pod {
  key: string;
  namespace: string;
  name: string;
  uid: string;
  /** Value of the binding label. */
  selector: string;
  labels: Record<string, string>;
  /** Empty until the pod is scheduled. */
  node: string;
  /** Succeeded or Failed: the containers never run again. */
  finished: boolean;
  /** All containers were started, and nobody deletes the pod. */
  running: boolean;
  /** The pod has the status annotation and our sidecar. */
  injected: boolean;
  /** Of the release that injected the pod; empty where the annotation cannot be read. */
  sidecarVersion: string;
  sidecarTemplate: string;
  sidecarSettings: string;
  /** Annotated `inject: "false"`. */
  optedOut: boolean;
  /** The API server's copy of a static pod. */
  mirror: boolean;
  windows: boolean;
  hostNetwork: boolean;
  defaultIdentity: string | undefined;
  /** Names of the CSI drivers and FlexVolume drivers of the volumes that the pod itself describes. */
  volumeDrivers: readonly string[];
}

/** Undefined without the binding label. `key`: of the object, where the caller has it; an equal string of its own would take twice the memory. */
export function podOf(raw: unknown, key?: string): Pod | undefined {
  const metadata = metadataOf(raw);
  const selector = metadata.labels?.[bindingLabel];
  if (metadata.namespace === undefined || metadata.name === undefined || metadata.uid === undefined || selector === undefined)
    return undefined;
  const phase = stringAt(raw, 'status', 'phase');
  const status = metadata.annotations?.[annotations.status];
  const injection = status === undefined ? undefined : parseJson(status);
  return {
    key: key ?? keyOf(metadata),
    namespace: internText(metadata.namespace),
    name: metadata.name,
    uid: metadata.uid,
    selector: internText(selector),
    labels: internMap(metadata.labels ?? {}),
    node: internText(stringAt(raw, 'spec', 'nodeName') ?? ''),
    finished: phase === 'Succeeded' || phase === 'Failed',
    running: phase === 'Running' && metadata.deletionTimestamp === undefined,
    injected: status !== undefined && hasProxy(raw),
    sidecarVersion: internText(stringAt(injection, 'version') ?? ''),
    sidecarTemplate: internText(stringAt(injection, 'templateHash') ?? ''),
    sidecarSettings: internText(stringAt(injection, 'settingsHash') ?? ''),
    optedOut: metadata.annotations?.[annotations.inject] === 'false',
    mirror: metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined,
    windows: isWindows(raw),
    hostNetwork: at(raw, 'spec', 'hostNetwork') === true,
    defaultIdentity: metadata.annotations?.[annotations.defaultIdentity],
    volumeDrivers: volumeDriversOf(raw),
  };
}

/** Most pods have none, and they share one list. */
const noDrivers: readonly string[] = [];

/** Without those of PersistentVolumes: the drivers that ask for tokens of a pod mount inline volumes. */
function volumeDriversOf(raw: unknown): readonly string[] {
  const volumes = at(raw, 'spec', 'volumes');
  if (!Array.isArray(volumes)) return noDrivers;
  const drivers = volumes.flatMap((volume) => stringAt(volume, 'csi', 'driver') ?? stringAt(volume, 'flexVolume', 'driver') ?? []);
  return drivers.length === 0 ? noDrivers : [...new Set(drivers)].map(internText);
}

/** A kubelet may write annotations of the pods on its node, but not their containers (docs/reference/kubernetes.md). */
function hasProxy(raw: unknown): boolean {
  const containers = ['initContainers', 'containers'].flatMap((field) => at(raw, 'spec', field));
  return containers.some((container) => stringAt(container, 'name') === proxyContainerName);
}

/** Undefined for invalid JSON: the webhook writes the annotation, but users can change it. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
