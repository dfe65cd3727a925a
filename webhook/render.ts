// The injected pod: our parts in their canonical places around the user's, which keep their order and every field. Pure.
import { createHash } from 'node:crypto';
import type { InjectionStatus, Interception } from '../api/injection.ts';
import { annotations } from '../api/names.ts';
import { version } from '../api/version.ts';
import type { PodOptions } from './annotations.ts';
import type { Template } from './containers.ts';
import { initContainer, proxyContainer, volumes } from './containers.ts';
import { withVariables } from './environment.ts';
import type { Pod, RawObject } from './pod.ts';
import { annotationOf, nameOf } from './pod.ts';
import { proxyAmounts, resourceStyleOf, resourcesFor } from './resources.ts';
import type { Stripped } from './strip.ts';

export interface Rendered {
  pod: Pod;
  templateHash: string;
}

interface Parts {
  init: RawObject[];
  proxy: RawObject;
  volumes: RawObject[];
}

/** The pod comes from `strip`; rendering what was rendered before gives the same again. */
export function render(stripped: Stripped, interception: Interception, options: PodOptions, template: Template): Rendered {
  const { pod } = stripped;
  const parts = partsFor(stripped, interception, options, template);
  const [initFirst, first] = template.mode === 'native' ? [[...parts.init, parts.proxy], []] : [parts.init, [parts.proxy]];
  const own = interception === 'none' ? withVariables : (container: RawObject) => container;

  const spec = {
    ...pod.spec,
    containers: [...first, ...(pod.spec.containers ?? []).map(own)],
    volumes: [...(pod.spec.volumes ?? []), ...parts.volumes],
  };
  const initContainers = [...initFirst, ...(pod.spec.initContainers ?? []).map(own)];
  if (initContainers.length > 0) spec.initContainers = initContainers;

  const templateHash = hashOf(stripped, interception, options, template);
  const status: InjectionStatus = {
    version,
    templateHash,
    mode: template.mode,
    interception,
    initContainers: initFirst.map(nameOf),
    containers: first.map(nameOf),
    volumes: parts.volumes.map(nameOf),
  };
  const metadata = {
    ...pod.metadata,
    annotations: { ...pod.metadata.annotations, ...defaultContainer(pod, template), [annotations.status]: JSON.stringify(status) },
  };
  return { pod: { ...pod, metadata, spec }, templateHash };
}

function partsFor(stripped: Stripped, interception: Interception, options: PodOptions, template: Template): Parts {
  const style = resourceStyleOf(stripped.pod);
  const resources = (container: RawObject, amounts: Parameters<typeof resourcesFor>[1]) =>
    resourcesFor(style, amounts, stripped.resources.get(nameOf(container)));
  const init = initContainer(template, undefined);
  const proxy = proxyContainer(template, interception, options, undefined);
  return {
    init: interception === 'redirect' ? [{ ...init, resources: resources(init, template.init) ?? {} }] : [],
    proxy: { ...proxy, resources: resources(proxy, proxyAmounts(template.proxy, options)) ?? {} },
    volumes: volumes(),
  };
}

/**
 * Of what this version and these settings insert. Left out are the broker's address and CA, which the sidecar follows by itself, and what
 * other admission plugins added: a difference means that a new pod would get another template.
 */
function hashOf(stripped: Stripped, interception: Interception, options: PodOptions, template: Template): string {
  const broker = { ...template.broker, address: undefined, ca: '' };
  const parts = partsFor({ pod: stripped.pod, resources: new Map() }, interception, options, { ...template, broker });
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

/** kubectl logs and exec pick the first container, which in classic mode is ours (spec/injection.md 2.18). */
function defaultContainer(pod: Pod, template: Template): Record<string, string> {
  const [app] = pod.spec.containers ?? [];
  if (template.mode === 'native' || app === undefined) return {};
  const keys = ['kubectl.kubernetes.io/default-container', 'kubectl.kubernetes.io/default-logs-container'];
  return Object.fromEntries(keys.filter((key) => annotationOf(pod, key) === undefined).map((key) => [key, nameOf(app)]));
}
