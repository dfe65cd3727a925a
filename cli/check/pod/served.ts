// What the token proxy of the pod knows: whether it reaches the broker, and what the broker says.
import { isIP } from 'node:net';
import { rowKey } from '../../../api/identity-choice.ts';
import type { SidecarStatus } from '../../../api/sidecar-status.ts';
import { parseAddress } from '../../../common/address.ts';
import { stringAt } from '../../../lib/kube/objects.ts';
import type { Release } from '../../cluster/installation.ts';
import { readyAddresses } from '../../cluster/installation.ts';
import type { PodFacts } from '../../cluster/pod-facts.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed, unknown } from '../../finding.ts';

export function checkServed({ sidecar, namespace, name, installation }: PodFacts): Finding[] {
  if (sidecar === undefined) return [];
  const title = 'what the token proxy knows';
  if ('failure' in sidecar)
    return [
      unknown('SidecarUnreachable', {
        title,
        message: `\`sidecar.js status\` in the container: ${sidecar.failure}`,
        advice: 'It needs the right to create pods/exec, and a proxy of this version. Else see its log.',
        command: `kubectl logs ${name} -n ${namespace} -c aad-pod-identity-proxy --tail=20`,
      }),
    ];
  const { status } = sidecar;
  const reached = checkReach(status, installation.release);
  if (reached.status === 'broken') return [reached];
  return [reached, ...checkRows(status)];
}

/** Whether the token proxy reaches the broker, and what keeps it from that. */
export function checkReach({ broker }: SidecarStatus, release: Release | undefined): Finding {
  const title = 'broker';
  if (broker.error === undefined && broker.answeredSecondsAgo !== undefined)
    return passed(`the token proxy reaches the broker at ${broker.address}`);
  const since = broker.answeredSecondsAgo === undefined ? 'never' : `not for ${broker.answeredSecondsAgo} s`;
  const message = `the token proxy reached it ${since}: ${broker.error ?? 'it was not called yet'}`;
  const endpoints = release?.brokerEndpoints;
  if (
    endpoints !== undefined &&
    (('value' in endpoints && readyAddresses(endpoints.value) === 0) || ('why' in endpoints && endpoints.why === 'absent'))
  )
    return broken('BrokerDown', {
      title,
      message,
      advice: 'No replica of the broker is ready. Look at its pods.',
      command: `kubectl get pods -n ${release?.namespace} -l app.kubernetes.io/component=broker`,
    });
  const service = release?.brokerService;
  const clusterIp = service !== undefined && 'value' in service ? stringAt(service.value, 'spec', 'clusterIP') : undefined;
  const pinned = ipOf(broker.address);
  if (clusterIp !== undefined && pinned !== undefined && pinned !== clusterIp)
    return broken('BrokerMoved', {
      title,
      message: `${message}. The pod calls ${pinned}, and the Service of the broker has ${clusterIp} since it was made anew`,
      advice: 'Make the pod anew. It goes on by the name of the Service where the cluster has DNS.',
    });
  if (/network policy|timed out|no answer|time ?out/i.test(broker.error ?? ''))
    return broken('BrokerBlocked', {
      title,
      message,
      advice:
        'Replicas are ready, so something between drops the connection. Allow egress to TCP 9443 of the release namespace: docs/networking.md.',
      command: 'kubectl get networkpolicies -A',
    });
  return broken('BrokerUnreachable', { title, message, advice: 'See the log of the broker.', command: 'kubectl aad-pod-identity check' });
}

/** Undefined for a name. */
function ipOf(address: string): string | undefined {
  const { host } = parseAddress(address) ?? {};
  return host !== undefined && isIP(host) !== 0 ? host : undefined;
}

function checkRows({ revoked, excepted, identities, defaultIdentity }: SidecarStatus): Finding[] {
  if (revoked !== undefined)
    return [
      broken('IdentityRevoked', {
        title: 'broker',
        message: `${revoked.code}: ${revoked.message}`,
        advice: 'The broker does not count this pod among those that take part. Make it anew.',
      }),
    ];
  if (excepted)
    return [
      broken('Excepted', {
        title: 'broker',
        message: 'an AzurePodIdentityException applies now, so requests go to IMDS as from the node',
        advice: 'Change the exception if it means other pods.',
        command: 'kubectl get azurepodidentityexceptions -A',
      }),
    ];
  const serving = identities.filter(({ state }) => state === 'Assigned');
  const waiting = identities.filter(({ state }) => state !== 'Assigned');
  return [
    ...(serving.length === 0
      ? []
      : [
          passed(
            `the broker lists ${serving.map(rowKey).join(', ')} as assigned${defaultIdentity === undefined ? '' : `; ${defaultIdentity} is the default`}`,
          ),
        ]),
    ...waiting.map((row) =>
      broken('AssignmentPending', {
        title: `AzureIdentity ${rowKey(row)}, as the broker has it`,
        message: `it is ${row.state}: ${row.reason ?? 'no reason is given'}`,
        advice: 'The broker may be some seconds behind. If it stays so, the reason says what to do.',
      }),
    ),
  ];
}
