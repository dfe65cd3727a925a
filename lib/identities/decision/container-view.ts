// One container of a pod, read once.
import { at, isRecord, stringAt } from '../../../common/records.ts';
import { parseQuantity } from '../../kube/quantity.ts';
import type { RawObject } from './raw-pod.ts';
import { nameOf } from './raw-pod.ts';

export type ContainerField = 'initContainers' | 'containers' | 'ephemeralContainers';

/** A user or group id, and where the manifest declares it. */
export interface DeclaredId {
  readonly place: string;
  readonly id: number;
}

export interface ContainerView {
  readonly name: string;
  /** As a user finds it in the manifest: `spec.initContainers[name]`. */
  readonly place: string;
  readonly raw: RawObject;
  readonly ids: readonly DeclaredId[];
  readonly tcpPorts: readonly number[];
  /** Names of the environment variables. */
  readonly variables: readonly string[];
  /** Names of the volumes that it mounts. */
  readonly mounts: readonly string[];
  readonly privileged: boolean;
  /** Added ones in upper case, as container runtimes read them, without the prefix `CAP_`. */
  readonly capabilities: readonly string[];
}

export function viewContainer(raw: RawObject, field: ContainerField): ContainerView {
  const name = nameOf(raw);
  const place = `spec.${field}[${name}]`;
  const { securityContext } = raw;
  return {
    name,
    place,
    raw,
    ids: declaredIds(securityContext, `${place}.securityContext`, ['runAsUser', 'runAsGroup']),
    tcpPorts: tcpPortsOf(raw),
    variables: listOf(raw.env).flatMap((variable) => stringAt(variable, 'name') ?? []),
    mounts: listOf(raw.volumeMounts).flatMap((mount) => stringAt(mount, 'name') ?? []),
    privileged: at(securityContext, 'privileged') === true,
    capabilities: listOf(at(securityContext, 'capabilities', 'add')).map((capability) =>
      String(capability).toUpperCase().replace(/^CAP_/, ''),
    ),
  };
}

/** The numeric ids under these keys of a security context. */
export function declaredIds(securityContext: unknown, place: string, keys: readonly string[]): DeclaredId[] {
  if (!isRecord(securityContext)) return [];
  return keys.flatMap((key) => {
    const id = securityContext[key];
    return typeof id === 'number' ? [{ place: `${place}.${key}`, id }] : [];
  });
}

function tcpPortsOf(raw: RawObject): number[] {
  return listOf(raw.ports).flatMap((port) => {
    const number = at(port, 'containerPort');
    return typeof number === 'number' && (stringAt(port, 'protocol') ?? 'TCP') === 'TCP' ? [number] : [];
  });
}

/** True where limits and requests of CPU and memory are equal, as QoS class Guaranteed demands of every container. */
export function isGuaranteed(raw: RawObject): boolean {
  return ['cpu', 'memory'].every((resource) => {
    const limit = parseQuantity(at(raw.resources, 'limits', resource));
    const request = at(raw.resources, 'requests', resource);
    // The API server sets an absent request to the limit.
    return limit !== undefined && limit > 0 && (request === undefined || parseQuantity(request) === limit);
  });
}

/** An empty `resources`, as many templates render it, has none. */
export function hasAmounts(resources: unknown): boolean {
  return ['requests', 'limits'].some((field) => Object.keys(at(resources, field) ?? {}).length > 0);
}

/** Empty for a value that is no list. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
