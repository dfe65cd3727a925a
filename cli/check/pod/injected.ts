// Why a labelled pod has no token proxy: first what the webhook would decide about it, then whether it was called at all.
import type { ReasonFor } from '../../../api/decisions.ts';
import { reasonText } from '../../../api/decisions.ts';
import { skipReason } from '../../../lib/identities/decision/skip.ts';
import type { Exception } from '../../../lib/identities/exceptions.ts';
import { matchingException } from '../../../lib/identities/exceptions.ts';
import { excludedNamespaces, isExcludedNamespace } from '../../../lib/identities/namespace.ts';
import type { Pod } from '../../../lib/identities/pod.ts';
import { metadataOf } from '../../../lib/kube/objects.ts';
import { entriesOf } from '../../cluster/installation.ts';
import type { PodFacts } from '../../cluster/pod-facts.ts';
import { hasProxy } from '../../cluster/pod-facts.ts';
import type { TrialAdmission } from '../../cluster/trial-admission.ts';
import type { Code } from '../../codes.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed, warning } from '../../finding.ts';
import { callFailureOf } from '../webhook-call.ts';

const skipCodes: Record<ReasonFor<'skip'>, Code> = {
  mirror_pod: 'StaticPod',
  no_selector: 'LabelEmpty',
  opted_out: 'OptedOut',
  excepted: 'Excepted',
  windows: 'WindowsPod',
  host_network: 'HostNetwork',
};

const title = 'token proxy';

export function checkInjected(facts: PodFacts, raw: unknown, pod: Pod): Finding {
  const { namespace, name, trial } = facts;
  const exception = matchingException(pod.labels, 'value' in facts.exceptions ? facts.exceptions.value : []);
  if (hasProxy(raw)) return exception === undefined ? passed('has the token proxy') : exceptedLater(exception);
  const reason = skipReason(pod, exception !== undefined);
  if (reason === 'excepted' && exception !== undefined)
    return broken('Excepted', {
      title,
      message: reasonText(reason, nameOf(exception)),
      advice: adviceOf[reason],
      command: show(exception),
    });
  if (reason !== undefined)
    return broken(skipCodes[reason], { title, message: reasonText(reason), advice: adviceOf[reason], command: showPod(name, namespace) });
  if (isExcluded(facts))
    return broken('NamespaceExcluded', {
      title,
      message: `the API server does not call the webhook for namespace ${namespace}`,
      advice:
        'Run the pod in another namespace. The webhook leaves out kube-system, and namespaces labelled control-plane=true or kubernetes.azure.com/managedby=aks.',
      command: `kubectl get namespace ${namespace} --show-labels`,
    });
  return missed(trial, { name, namespace });
}

const nameOf = ({ key }: Exception): string => `AzurePodIdentityException ${key}`;
const show = ({ name, namespace }: Exception): string => `kubectl get azurepodidentityexception ${name} -n ${namespace} -o yaml`;
const showPod = (name: string, namespace: string): string => `kubectl get pod ${name} -n ${namespace} -o yaml`;

/** Whether the exception counts for a pod that runs is a setting of the release; the token proxy knows. */
const exceptedLater = (exception: Exception): Finding =>
  warning('Excepted', {
    title,
    message: `the pod has it, and ${nameOf(exception)} matches its labels now: a pod that is made anew has none`,
    advice: 'Change the labels of the pod, or the exception if it means other pods.',
    command: show(exception),
  });

const adviceOf: Record<ReasonFor<'skip'>, string> = {
  mirror_pod: 'Run it as a DaemonSet.',
  no_selector: 'Give the label the selector of an AzureIdentityBinding.',
  opted_out: 'Remove the annotation aadpodidentity.k8s.io/inject from the template of the pod.',
  excepted: 'Change the labels of the pod, or the exception if it means other pods. Then make the pod anew.',
  windows: 'Use Azure Workload Identity for Windows pods.',
  host_network: 'Remove hostNetwork from the pod: such a pod has the network of its node.',
};

function isExcluded({ namespace, namespaceObject, installation }: PodFacts): boolean {
  if (excludedNamespaces.has(namespace)) return true;
  const labels = 'value' in namespaceObject ? (metadataOf(namespaceObject.value).labels ?? {}) : {};
  const isRegistered = 'value' in installation.webhookConfiguration && entriesOf(installation.webhookConfiguration.value).length > 0;
  return isRegistered && isExcludedNamespace(namespace, labels);
}

/** The webhook would inject the pod, and did not: the trial tells whether it would now. */
function missed(trial: TrialAdmission | undefined, { name, namespace }: { name: string; namespace: string }): Finding {
  const recreate = { command: `kubectl delete pod ${name} -n ${namespace}` };
  if (trial?.outcome === 'injected')
    return broken('OlderThanInstall', {
      title,
      message: 'the pod was made before the webhook was there, or while it was not; a pod that is made now is injected',
      advice: 'Make the pod anew. A controller such as a Deployment does that once the pod is deleted.',
      ...recreate,
    });
  const check = { command: 'kubectl aad-pod-identity check' };
  if (trial?.outcome === 'unreachable')
    return broken(callFailureOf(trial.text, 'WebhookDown'), {
      title,
      message: `the API server cannot call the webhook: ${trial.text}`,
      advice: 'Mend the webhook first.',
      ...check,
    });
  if (trial?.outcome === 'not injected')
    return broken('WebhookNotRegistered', {
      title,
      message: 'a labelled pod that is made now is not injected either',
      advice: 'See what is wrong with the installation.',
      ...check,
    });
  return broken('NotInjected', {
    title,
    message: `the pod has no token proxy${trial === undefined ? '' : `; a trial as a dry run says: ${trial.text}`}`,
    advice: 'Make the pod anew. If it has no token proxy then either, see what is wrong with the installation.',
    ...check,
  });
}
