import { reasonText } from '../../../api/decisions.ts';
import { annotations } from '../../../api/names.ts';
import type { Outcome } from '../../../lib/identities/decision/outcome.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed, warning } from '../../finding.ts';
import type { Admission } from '../admission.ts';
import { admissionsOf, injectedWorkloads } from '../admission.ts';
import type { MigrationInput } from '../input.ts';
import { needsNodeEndpoint } from '../values.ts';
import type { Workload } from '../workloads.ts';
import { describeWorkload } from '../workloads.ts';
import { names } from './names.ts';

export function workloadFindings(input: MigrationInput): Finding[] {
  const admissions = admissionsOf(input);
  const injected = injectedWorkloads(input);
  return [
    ...admissions.flatMap(refusal),
    ...asBefore(admissions),
    ...podSecurity(admissions),
    ...labelPlace(input),
    ...byHand(injected),
    ...nodeEndpoint(input),
    ...workloadIdentity(injected),
  ];
}

/** Tokens come now, and would not after the move. */
function refusal(admission: Admission): Finding[] {
  const { workload } = admission;
  const title = describeWorkload(workload);
  switch (admission.outcome) {
    case 'pod security':
      return [];
    case 'malformed':
      return [warning('PodMalformed', { title, message: `its pod cannot be read: ${admission.why}`, advice: 'Correct the manifest.' })];
    case 'excluded':
      return [
        broken('NamespaceExcluded', {
          title,
          message: `the API server calls no webhook of ours for namespace ${workload.namespace}`,
          advice: 'Move it to another namespace, with its binding and its identity where these are namespaced.',
        }),
      ];
    default:
      return refusalOf(admission.outcome, title);
  }
}

function refusalOf(outcome: Outcome, title: string): Finding[] {
  if (outcome.decision === 'deny')
    return [
      broken('PodRefused', {
        title,
        message: `the webhook refuses its pods: ${reasonText(outcome.reason, outcome.detail)}`,
        advice: 'Change the template of the pods before the restart.',
      }),
    ];
  if (outcome.decision !== 'skip') return [];
  if (outcome.reason === 'mirror_pod')
    return [broken('StaticPod', { title, message: reasonText('mirror_pod', undefined), advice: 'Run it as a DaemonSet.' })];
  if (outcome.reason === 'opted_out')
    return [
      warning('OptedOut', {
        title,
        message: reasonText('opted_out', undefined),
        advice: `Remove the annotation ${annotations.inject} from the template of the pods, if they need tokens.`,
      }),
    ];
  return [];
}

const unchanged = {
  excepted: 'excepted, so requests go to IMDS',
  host_network: 'have the network of the node, so requests go to IMDS',
  windows: 'are for Windows, so requests go to IMDS',
  no_selector: 'have an empty label, so take no part',
} as const;

/** Neither NMI nor the token proxy serves them. */
function asBefore(admissions: readonly Admission[]): Finding[] {
  return Object.entries(unchanged).flatMap(([reason, text]) => {
    const found = admissions.filter(({ outcome }) => typeof outcome === 'object' && outcome.reason === reason);
    return found.length === 0 ? [] : [passed(`${text}, as before: ${names(found.map(({ workload }) => describeWorkload(workload)))}`)];
  });
}

function podSecurity(admissions: readonly Admission[]): Finding[] {
  const found = admissions.filter((admission) => admission.outcome === 'pod security');
  return [...Map.groupBy(found, ({ workload }) => workload.namespace)].map(([namespace, [first, ...rest]]) =>
    broken('PodSecurity', {
      title: `namespace ${namespace}`,
      message: `${first?.obstacle ?? ''} of the init container: ${names([first, ...rest].flatMap((admission) => (admission === undefined ? [] : [describeWorkload(admission.workload)])))} would not start`,
      advice:
        'Annotate the namespace: pods then get the token endpoint by variables, which Azure SDKs read. Code that asks 169.254.169.254 itself needs another namespace.',
      command: `kubectl annotate namespace ${namespace} ${annotations.interception}=none`,
    }),
  );
}

function labelPlace({ labelledOnlyThemselves }: MigrationInput): Finding[] {
  if (labelledOnlyThemselves.length === 0) return [];
  return [
    warning('LabelOnOwnerOnly', {
      title: 'label',
      message: `${names(labelledOnlyThemselves)} have the label in their own metadata only, which gives their pods nothing, as before`,
      advice: 'Move it to spec.template.metadata.labels.',
    }),
  ];
}

function byHand(injected: readonly Workload[]): Finding[] {
  const found = injected.filter(({ kind, pod }) => ['Pod', 'Job', 'ReplicaSet', 'ReplicationController'].includes(kind) && !pod.injected);
  if (found.length === 0) return [];
  return [
    warning('RecreateByHand', {
      title: 'restart',
      message: `kubectl rollout restart does not make these anew: ${names(found.map(describeWorkload))}`,
      advice: 'Delete and make them in step 2, or let Jobs end. Until then they need NMI.',
    }),
  ];
}

function nodeEndpoint({ workloads }: MigrationInput): Finding[] {
  const found = workloads.filter(needsNodeEndpoint);
  if (found.length === 0) return [];
  return [
    warning('NodeEndpointNeeded', {
      title: 'volumes',
      message: `${names(found.map(describeWorkload))} mount volumes of Key Vault, whose driver may ask NMI at localhost:2579`,
      advice:
        'The values below set nodeEndpoint.enabled. Without usePodIdentity in the SecretProviderClass it is not needed: docs/secrets-store-csi.md.',
    }),
  ];
}

function workloadIdentity(injected: readonly Workload[]): Finding[] {
  const found = injected.filter(({ pod }) => pod.labels['azure.workload.identity/use'] === 'true');
  if (found.length === 0) return [];
  return [
    warning('WorkloadIdentityToo', {
      title: 'Azure Workload Identity',
      message: `${names(found.map(describeWorkload))} have its label too, so the apps have two identities`,
      advice: 'See which one an app uses: docs/migration.md#beside-azure-workload-identity.',
    }),
  ];
}
