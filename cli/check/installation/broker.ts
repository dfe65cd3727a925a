import type { Installation, Release } from '../../cluster/installation.ts';
import { readyAddresses } from '../../cluster/installation.ts';
import type { NodeViews } from '../../cluster/node-views.ts';
import type { Finding } from '../../finding.ts';
import { broken, isProblem, passed, skipped, unknown } from '../../finding.ts';
import { checkReach } from '../pod/served.ts';
import { execDenied, unreadable } from '../unreadable.ts';

export function checkBroker({ injectedPods }: Installation, release: Release, nodeViews: NodeViews): Finding[] {
  const replicas = checkReplicas(release);
  // Token proxies say the same of every node then.
  if (replicas.status === 'broken' || !('value' in injectedPods)) return [replicas];
  return [replicas, ...checkNodes(nodeViews, release)];
}

function checkReplicas({ namespace, brokerEndpoints }: Release): Finding {
  const title = 'ready replicas';
  if (!('value' in brokerEndpoints) && brokerEndpoints.why !== 'absent') return unreadable(title, brokerEndpoints);
  const ready = 'value' in brokerEndpoints ? readyAddresses(brokerEndpoints.value) : 0;
  if (ready > 0) return passed(`${ready} ready`);
  return broken('BrokerDown', {
    title,
    message: 'no replica of the broker is ready: pods keep the tokens they have, and get none for identities that change',
    advice: 'Look at its pods and its log.',
    command: `kubectl logs -n ${namespace} -l app.kubernetes.io/component=broker --tail=50`,
  });
}

function checkNodes({ asked, leftOut }: NodeViews, release: Release): Finding[] {
  if (asked.length === 0) return [skipped('from nodes: no injected pod runs whose token proxy could be asked')];
  const findings: Finding[] = [];
  let reached = 0;
  for (const { node, namespace, pod, view } of asked) {
    const title = `from node ${node}, by pod ${namespace}/${pod}`;
    if ('status' in view) {
      const finding = checkReach(view.status, release);
      if (isProblem(finding)) findings.push({ ...finding, title });
      else reached += 1;
    } else if (view.isDenied) findings.push(execDenied(title, namespace));
    else
      findings.push(
        unknown('SidecarUnreachable', {
          title,
          message: `\`sidecar.js status\` in the container: ${view.failure}`,
          advice: 'See the log of the token proxy.',
          command: `kubectl logs ${pod} -n ${namespace} -c aad-pod-identity-proxy --tail=20`,
        }),
      );
  }
  if (reached > 0)
    findings.unshift(passed(`reached from ${reached === 1 ? 'one node' : `${reached} nodes`}, as one token proxy on each says`));
  if (leftOut > 0) findings.push(skipped(`from ${leftOut} more nodes with injected pods: not asked`));
  return findings;
}
