// What else runs in the cluster, and the pods that run already.
import { podOf } from '../../../lib/identities/pod.ts';
import { metadataOf, stringAt } from '../../../lib/kube/objects.ts';
import type { Installation } from '../../cluster/installation.ts';
import type { Finding } from '../../finding.ts';
import { passed, warning } from '../../finding.ts';
import { unreadable } from '../unreadable.ts';

export function checkUpstream({ upstreamPods }: Installation): Finding[] {
  if (!('value' in upstreamPods)) return upstreamPods.why === 'absent' ? [] : [unreadable('aad-pod-identity', upstreamPods)];
  return [...checkMic(upstreamPods.value), ...checkNmi(upstreamPods.value)];
}

/** The leader says whether it gives way to a MIC. One that it does not name is no less in the way. */
function checkMic(upstreamPods: readonly unknown[]): Finding[] {
  const [first] = upstreamPods.filter((pod) => componentOf(pod) === 'mic');
  if (first === undefined) return [passed('no MIC of aad-pod-identity runs')];
  const { name, namespace } = metadataOf(first);
  return [
    warning('UpstreamControllerRuns', {
      title: 'aad-pod-identity',
      message: `MIC ${namespace}/${name} is there: a controller of this system assigns nothing while a MIC leads`,
      advice: 'Scale it down or uninstall it: docs/migration.md has the order.',
      command: `kubectl get deployments -n ${namespace}`,
    }),
  ];
}

function checkNmi(upstreamPods: readonly unknown[]): Finding[] {
  const agents = upstreamPods.filter((pod) => componentOf(pod) === 'nmi');
  if (agents.length === 0) return [passed('no NMI of aad-pod-identity runs')];
  const nodes = [...new Set(agents.map((pod) => stringAt(pod, 'spec', 'nodeName') ?? '?'))];
  return [
    warning('NodeAgentRuns', {
      title: 'aad-pod-identity',
      message: `an NMI runs on ${nodes.length === 1 ? `node ${nodes[0]}` : `${nodes.length} nodes`}: it takes the requests of token proxies to IMDS`,
      advice: 'Remove it once all labelled pods are injected: docs/migration.md has the order.',
      command: `kubectl get pods -n ${metadataOf(agents[0]).namespace} -l ${Object.hasOwn(metadataOf(agents[0]).labels ?? {}, 'component') ? 'component=nmi' : 'app.kubernetes.io/component=nmi'}`,
    }),
  ];
}

export function componentOf(pod: unknown): string | undefined {
  const labels = metadataOf(pod).labels ?? {};
  return labels['app.kubernetes.io/component'] ?? labels.component;
}

/** `expected`: the version of the release. */
export function checkSidecars({ injectedPods }: Installation, expected: string): Finding[] {
  if (!('value' in injectedPods)) return injectedPods.why === 'absent' ? [] : [unreadable('injected pods', injectedPods)];
  const injected = injectedPods.value.flatMap((raw) => podOf(raw) ?? []).filter((pod) => pod.injected && !pod.finished);
  const old = injected.filter((pod) => pod.sidecarVersion !== expected);
  if (old.length === 0) return [passed(`${injected.length} injected ${injected.length === 1 ? 'pod' : 'pods'}, none of another version`)];
  const versions = [...new Set(old.map((pod) => pod.sidecarVersion || 'unknown'))].join(', ');
  return [
    warning('SidecarsOld', {
      title: 'injected pods',
      message: `${old.length} of ${injected.length} have a token proxy of another version than the release (${versions}, not ${expected})`,
      advice: 'Restart their workloads when it suits; they work meanwhile.',
      command: `kubectl rollout restart deployment -n ${old[0]?.namespace}`,
    }),
  ];
}
