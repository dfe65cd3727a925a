import { metadataOf, stringAt } from '../../../lib/kube/objects.ts';
import type { PodFacts } from '../../cluster/pod-facts.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed } from '../../finding.ts';
import { componentOf } from '../installation/neighbours.ts';

/** An NMI on the node of the pod takes what the token proxy sends to IMDS. */
export function checkNodeAgent({ installation: { upstreamPods } }: PodFacts, pod: unknown): Finding[] {
  if (!('value' in upstreamPods)) return [];
  const node = stringAt(pod, 'spec', 'nodeName');
  const agent = upstreamPods.value.find((found) => componentOf(found) === 'nmi' && stringAt(found, 'spec', 'nodeName') === node);
  if (agent === undefined) return [passed('no NMI runs on its node')];
  const { name, namespace } = metadataOf(agent);
  return [
    broken('NodeAgentRuns', {
      title: `node ${node}`,
      message: `NMI ${namespace}/${name} of aad-pod-identity runs there and takes what the token proxy sends to IMDS`,
      advice: 'Keep NMI off this node: docs/migration.md has the order.',
      command: `kubectl get daemonsets -n ${namespace}`,
    }),
  ];
}
