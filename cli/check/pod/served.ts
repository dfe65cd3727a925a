// What the token proxy of the pod knows: whether it reaches the broker, and what the broker says.
import { isIP } from 'node:net';
import type { IdentityRow } from '../../../api/broker.ts';
import { rowKey } from '../../../api/identity-choice.ts';
import { annotations, brokerServiceName } from '../../../api/names.ts';
import type { SidecarStatus } from '../../../api/sidecar-status.ts';
import { parseAddress } from '../../../common/address.ts';
import { matchingException } from '../../../lib/identities/exceptions.ts';
import type { Pod } from '../../../lib/identities/pod.ts';
import { stringAt } from '../../../lib/kube/objects.ts';
import type { Release } from '../../cluster/installation.ts';
import { readyAddresses } from '../../cluster/installation.ts';
import type { PodFacts } from '../../cluster/pod-facts.ts';
import type { Finding, Problem } from '../../finding.ts';
import { broken, passed, unknown, waiting } from '../../finding.ts';
import { execDenied } from '../unreadable.ts';
import { assignmentFor, createdAt } from './assigned.ts';
import { isUnderWay } from './under-way.ts';

const title = 'broker';

export function checkServed(facts: PodFacts, pod: Pod, now: Date): Finding[] {
  const { sidecar, installation } = facts;
  if (sidecar === undefined) return [];
  if ('failure' in sidecar) {
    // A broker that is down serves nobody, whatever the token proxy would have said.
    const down = brokerDown(installation.release, 'no replica of the broker is ready');
    return [unasked(facts, sidecar), ...(down === undefined ? [] : [down])];
  }
  const { status } = sidecar;
  const reached = checkReach(status, installation.release);
  return reached.status === 'passed' ? [reached, ...checkAnswer(status, { facts, pod, now })] : [reached];
}

function unasked({ name, namespace }: PodFacts, { failure, isDenied }: { failure: string; isDenied?: true }): Finding {
  const title = 'what the token proxy knows';
  if (isDenied) return execDenied(title, namespace);
  return unknown('SidecarUnreachable', {
    title,
    message: `\`sidecar.js status\` in the container: ${failure}`,
    advice: 'It needs a proxy of this version. Else see its log.',
    command: `kubectl logs ${name} -n ${namespace} -c aad-pod-identity-proxy --tail=20`,
  });
}

/** Whether the token proxy reaches the broker, and what keeps it from that. */
export function checkReach({ broker }: SidecarStatus, release: Release | undefined): Finding {
  const { address, answeredSecondsAgo, error } = broker;
  if (error === undefined)
    return answeredSecondsAgo === undefined
      ? waiting('Starting', { title, message: 'the token proxy asks the broker for the first time', advice: 'Wait a few seconds.' })
      : passed(`the token proxy reaches the broker at ${address}`);
  const since = answeredSecondsAgo === undefined ? 'never' : `not for ${answeredSecondsAgo} s`;
  const message = `the token proxy reached it ${since}: ${error}`;
  const down = brokerDown(release, message);
  if (down !== undefined) return down;
  const service = release?.brokerService;
  const clusterIp = service !== undefined && 'value' in service ? stringAt(service.value, 'spec', 'clusterIP') : undefined;
  const pinned = ipOf(address);
  if (clusterIp !== undefined && pinned !== undefined && pinned !== clusterIp)
    return broken('BrokerMoved', {
      title,
      message: `${message}. The pod calls ${pinned}, and the Service of the broker has ${clusterIp} since it was made anew`,
      advice: 'Make the pod anew. It goes on by the name of the Service where the cluster has DNS.',
      command: `kubectl get service -n ${release?.namespace} ${brokerServiceName}`,
    });
  if (/network policy|timed out|no answer|time ?out/i.test(error))
    return broken('BrokerBlocked', {
      title,
      message,
      advice:
        'Replicas are ready, so something between drops the connection. Allow egress to TCP 9443 of the release namespace: docs/networking.md.',
      command: 'kubectl get networkpolicies -A',
    });
  return broken('BrokerUnreachable', { title, message, advice: 'See the log of the broker.', command: 'kubectl aad-pod-identity check' });
}

/** Undefined where a replica is ready, and where nothing tells. */
function brokerDown(release: Release | undefined, message: string): Problem | undefined {
  const endpoints = release?.brokerEndpoints;
  const isDown = endpoints !== undefined && ('value' in endpoints ? readyAddresses(endpoints.value) === 0 : endpoints.why === 'absent');
  if (!isDown) return undefined;
  return broken('BrokerDown', {
    title,
    message,
    advice: 'No replica of the broker is ready. Look at its pods.',
    command: `kubectl get pods -n ${release?.namespace} -l app.kubernetes.io/component=broker`,
  });
}

/** Undefined for a name. */
function ipOf(address: string): string | undefined {
  const { host } = parseAddress(address) ?? {};
  return host !== undefined && isIP(host) !== 0 ? host : undefined;
}

interface Judged {
  facts: PodFacts;
  pod: Pod;
  now: Date;
}

/** What the broker says of the pod. */
function checkAnswer({ revoked, excepted, identities, defaultIdentity }: SidecarStatus, judged: Judged): Finding[] {
  if (revoked !== undefined)
    return [
      broken('IdentityRevoked', {
        title,
        message: `${revoked.code}: ${revoked.message}`,
        advice: 'The broker does not count this pod among those that take part. Make it anew.',
        command: `kubectl delete pod ${judged.pod.name} -n ${judged.pod.namespace}`,
      }),
    ];
  if (excepted) return [exceptedNow(judged)];
  const serving = identities.filter(({ state }) => state === 'Assigned').map(rowKey);
  const byDefault = defaultIdentity === undefined ? '' : `; ${defaultIdentity} is the default`;
  return [
    ...(serving.length === 0 ? [] : [passed(`the broker lists ${serving.join(', ')} as assigned${byDefault}`)]),
    ...identities.filter(({ state }) => state !== 'Assigned').map((row) => judgeRow(row, judged)),
  ];
}

function exceptedNow({ facts: { exceptions }, pod: { labels, namespace } }: Judged): Finding {
  const exception = matchingException(labels, 'value' in exceptions ? exceptions.value : []);
  return broken('Excepted', {
    title,
    message: `${exception === undefined ? 'an AzurePodIdentityException' : `AzurePodIdentityException ${exception.key}`} applies now, so requests go to IMDS as from the node`,
    advice: 'Change the exception if it means other pods.',
    command:
      exception === undefined
        ? 'kubectl get azurepodidentityexceptions -A'
        : `kubectl get azurepodidentityexception ${exception.name} -n ${namespace} -o yaml`,
  });
}

/** The broker follows the AzureAssignedIdentity some seconds later. */
function judgeRow(row: IdentityRow, { facts, pod, now }: Judged): Finding {
  const { assignments } = facts;
  const metadata = assignmentFor(pod, rowKey(row), 'value' in assignments ? assignments.value : [])?.metadata;
  const began = metadata?.annotations?.[annotations.assignedAt] ?? metadata?.creationTimestamp ?? createdAt(facts);
  const details = {
    title: `AzureIdentity ${rowKey(row)}, as the broker has it`,
    message: `it is ${row.state}: ${row.reason ?? 'no reason is given'}`,
    command: `kubectl get azureassignedidentities -A -o wide`,
  };
  return row.state === 'Created' && isUnderWay([began], now)
    ? waiting('AssignmentPending', { ...details, advice: 'Wait a few seconds: the broker learns of an assignment after it is made.' })
    : broken('AssignmentPending', { ...details, advice: 'The reason says what to do. Without one, see the log of the broker.' });
}
