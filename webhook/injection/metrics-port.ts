// The port on which the proxy of a pod serves its metrics. Monitoring keeps no pod from running: where a container declares the same port, the proxy has
// none.
import { podAnnotations } from '../../lib/identities/decision/annotations.ts';
import type { ContainerView } from '../../lib/identities/decision/container-view.ts';
import type { Inject } from '../../lib/identities/decision/outcome.ts';
import type { PodView } from '../../lib/identities/decision/pod-view.ts';
import type { Template } from './containers.ts';

type Annotated = Pick<Inject, 'options' | 'defaults'>;

/** As annotations of the pod, of its namespace and the settings say; 0 for none. */
export const wantedMetricsPort = ({ options, defaults }: Annotated, { proxy }: Pick<Template, 'proxy'>): number =>
  options.proxyMetricsPort ?? defaults.proxyMetricsPort ?? proxy.metricsPort;

export const freeMetricsPort = (pod: PodView, wanted: number): number => (listenerOn(pod, wanted) === undefined ? wanted : 0);

export function metricsPortWarnings(pod: PodView, input: Annotated, template: Pick<Template, 'proxy'>): string[] {
  const port = wantedMetricsPort(input, template);
  const listener = listenerOn(pod, port);
  if (listener === undefined) return [];
  return [
    `${listener.place} has TCP port ${port}, so the token proxy serves no metrics: annotate ${podAnnotations.proxyMetricsPort.key} with another port, or with 0`,
  ];
}

const listenerOn = (pod: PodView, port: number): ContainerView | undefined =>
  pod.allContainers.find(({ tcpPorts }) => tcpPorts.includes(port));
