// The injected or guarded pod: our parts at fixed places around the user's, which keep their order and every field. Pure.
import { createHash } from 'node:crypto';
import type { InjectedMarker, InjectionStatus } from '../../api/injection.ts';
import { annotations, initContainerName, injectedLabel, proxyContainerName } from '../../api/names.ts';
import { version } from '../../api/version.ts';
import type { ContainerView } from '../../lib/identities/decision/container-view.ts';
import { injectedVariables } from '../../lib/identities/decision/endpoint-variables.ts';
import type { Guard, Inject } from '../../lib/identities/decision/outcome.ts';
import type { PodView } from '../../lib/identities/decision/pod-view.ts';
import type { RawObject, StringMap } from '../../lib/identities/decision/raw-pod.ts';
import { nameOf } from '../../lib/identities/decision/raw-pod.ts';
import { withRuntimeProfile } from './app-armor.ts';
import { compose, rawOf } from './compose.ts';
import type { Template } from './containers.ts';
import { emptyVolume, initContainer, proxyContainer, tokenVolume } from './containers.ts';
import { withFound } from './found-containers.ts';
import type { Limits } from './limit-ranges.ts';
import { freeMetricsPort, wantedMetricsPort } from './metrics-port.ts';
import { withoutNetRaw } from './net-raw.ts';
import type { Amounts } from './resources.ts';
import { amountsOf, fittedAmounts, resourceStyleOf, resourcesFor } from './resources.ts';

export interface Rendered {
  pod: RawObject;
  templateHash: string;
}

export type RenderInput = Omit<Inject, 'reason'> | Omit<Guard, 'reason'>;

export interface RenderContext {
  /** The pod's namespace is. */
  guarded: boolean;
  /** Of the LimitRanges of the pod's namespace. */
  limits: Limits;
}

interface InjectedParts {
  init: RawObject[];
  /** Absent from a guard. */
  proxy?: RawObject;
  volumes: RawObject[];
}

/** Rendering the pod that was rendered before gives the same pod again. */
export function render(pod: PodView, input: RenderInput, template: Template, { guarded, limits }: RenderContext): Rendered {
  const found = pod.injectedContainers;
  const parts = partsFor(input, template, {
    metricsPort: input.decision === 'guard' ? 0 : freeMetricsPort(pod, wantedMetricsPort(input, template)),
    resourcesOf: (amounts, name) => resourcesFor(resourceStyleOf(pod), fittedAmounts(amounts, pod, limits), found.get(name)?.resources),
  });
  const withAllowed = (ours: RawObject) => withFound(withRuntimeProfile(ours, pod.raw), found.get(nameOf(ours)), template.allowed);
  const init = parts.init.map(withAllowed);
  const proxy = parts.proxy === undefined ? [] : [withAllowed(parts.proxy)];
  const [initContainers, containers] = template.mode === 'native' ? [[...init, ...proxy], []] : [init, proxy];
  const marker: InjectedMarker = input.decision === 'guard' ? 'guard' : input.interception;
  const withOwnVariables = marker === 'none' ? withVariables : rawOf;
  const own = (container: ContainerView) => (guarded ? withoutNetRaw(withOwnVariables(container)) : withOwnVariables(container));

  const templateHash = hashOf(input, template);
  const status: InjectionStatus = {
    version,
    templateHash,
    ...(template.settingsHash === '' ? {} : { settingsHash: template.settingsHash }),
    mode: template.mode,
    interception: marker,
    initContainers: initContainers.map(nameOf),
    containers: containers.map(nameOf),
    volumes: parts.volumes.map(nameOf),
  };
  const rendered = compose(pod.raw, {
    labels: { ...pod.labels, [injectedLabel]: marker },
    annotations: {
      ...pod.annotations,
      ...(containers.length === 0 ? {} : defaultContainer(pod)),
      [annotations.status]: JSON.stringify(status),
    },
    containers: [...containers, ...pod.containers.map(own)],
    volumes: [...pod.volumes, ...parts.volumes],
    initContainers: [...initContainers, ...pod.initContainers.map(own)],
  });
  return { pod: rendered, templateHash };
}

/** In front, because `$(IDENTITY_ENDPOINT)` in a variable of the user is expanded only behind the variable that it names. */
function withVariables({ raw }: ContainerView): RawObject {
  return { ...raw, env: [...injectedVariables, ...(Array.isArray(raw.env) ? raw.env : [])] };
}

/** What follows from the pod beside its annotations. */
interface Fit {
  /** Makes the resources of a container from the amounts that settings and annotations say. */
  resourcesOf(amounts: Amounts, name: string): RawObject;
  /** Of the proxy; 0 for none. */
  metricsPort: number;
}

function partsFor(input: RenderInput, template: Template, { resourcesOf, metricsPort }: Fit): InjectedParts {
  const { options, defaults } = input;
  const layers = [defaults, options];
  const initResources = resourcesOf(amountsOf('init', template.init, layers), initContainerName);
  if (input.decision === 'guard')
    return { init: [initContainer(template, initResources, { denyImds: true })], volumes: [emptyVolume(template)] };
  const { interception } = input;
  const logLevel = options.proxyLogLevel ?? defaults.proxyLogLevel ?? template.proxy.logLevel;
  const proxyResources = resourcesOf(amountsOf('proxy', template.proxy, layers), proxyContainerName);
  return {
    init: interception === 'redirect' ? [initContainer(template, initResources, { denyImds: false })] : [],
    proxy: proxyContainer(template, { interception, logLevel, metricsPort }, proxyResources),
    volumes: [tokenVolume(), emptyVolume(template)],
  };
}

/**
 * Of what this version, these settings and annotations insert: a difference means that a new pod would get other parts. Left out are the broker's
 * address and CA, which the sidecar follows by itself, and what follows from other objects: amounts that fit the pod or a LimitRange, a metrics port
 * that is taken, and what other admission plugins added.
 */
function hashOf(input: RenderInput, template: Template): string {
  const broker = { ...template.broker, address: undefined, ca: '' };
  const parts = partsFor(
    input,
    { ...template, broker },
    {
      metricsPort: input.decision === 'guard' ? 0 : wantedMetricsPort(input, template),
      resourcesOf: (amounts) => resourcesFor('default', amounts, undefined) ?? {},
    },
  );
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

/** `kubectl logs` and `kubectl exec` use the first container, which in classic mode is the token proxy. */
function defaultContainer(pod: PodView): StringMap {
  const [app] = pod.containers;
  if (app === undefined) return {};
  const keys = ['kubectl.kubernetes.io/default-container', 'kubectl.kubernetes.io/default-logs-container'];
  return Object.fromEntries(keys.filter((key) => pod.annotations[key] === undefined).map((key) => [key, app.name]));
}
