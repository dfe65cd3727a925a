// Whether the pod exists. One that was refused has no object; the Events of its owner have the API server's text.
import { stringAt } from '../../../lib/kube/objects.ts';
import type { PodFacts } from '../../cluster/pod-facts.ts';
import type { Code } from '../../codes.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed } from '../../finding.ts';
import { unreadable } from '../unreadable.ts';
import { callFailureOf } from '../webhook-call.ts';

export function checkAdmitted({ pod, namespace, name, events }: PodFacts): Finding {
  const title = 'pod';
  if ('value' in pod) return passed(`exists, ${(stringAt(pod.value, 'status', 'phase') ?? 'without a phase').toLowerCase()}`);
  // Without the pod nothing can be said.
  if (pod.why !== 'absent') return { ...unreadable(title, pod), status: 'broken' };
  const text = events
    .filter((event) => stringAt(event, 'reason') === 'FailedCreate')
    .map((event) => stringAt(event, 'note') ?? '')
    .at(-1);
  if (text === undefined)
    return broken('PodNotFound', {
      title,
      message: `namespace ${namespace} has no pod ${name}, and no Event says that one was refused`,
      advice: 'Compare the name and the namespace.',
      command: `kubectl get pods -n ${namespace}`,
    });
  return broken(refusalOf(text), {
    title,
    message: text,
    advice: adviceOf(text),
    command: `kubectl get events -n ${namespace} --field-selector reason=FailedCreate`,
  });
}

/** By the texts of the API server and of our webhook: api/decisions.ts. */
function refusalOf(text: string): Code {
  if (/failed calling webhook "[\w.]*aadpodidentity/.test(text)) return callFailureOf(text, 'WebhookDown');
  if (/guarded/.test(text)) return 'RefusedByGuard';
  if (/ValidatingAdmissionPolicy/.test(text)) return 'RefusedByPolicy';
  return 'PodRefused';
}

const adviceOf = (text: string): string =>
  /failed calling webhook/.test(text)
    ? 'Mend the webhook first: kubectl aad-pod-identity check.'
    : 'Change the template of the pod as the message says.';
