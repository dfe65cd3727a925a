// Whether the pod exists. One that was refused has no object; the Events of its owner have the API server's text.
import { stringAt } from '../../../lib/kube/objects.ts';
import type { PodFacts } from '../../cluster/pod-facts.ts';
import type { Code } from '../../codes.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed } from '../../finding.ts';
import { unreadable } from '../unreadable.ts';
import { callFailureOf } from '../webhook-call.ts';

const title = 'pod';

export function checkAdmitted({ pod, namespace, name, events }: PodFacts): Finding {
  if ('value' in pod) return passed(`exists, ${(stringAt(pod.value, 'status', 'phase') ?? 'without a phase').toLowerCase()}`);
  // Without the pod nothing can be said.
  if (pod.why !== 'absent') return { ...unreadable(title, pod), status: 'broken' };
  const text = stringAt(
    events.findLast((event) => stringAt(event, 'reason') === 'FailedCreate'),
    'note',
  );
  if (text !== undefined) return refused(text, namespace);
  return broken('PodNotFound', {
    title,
    message: `namespace ${namespace} has no pod ${name}, and no Event says that one was refused`,
    advice: 'Compare the name and the namespace.',
    command: `kubectl get pods -n ${namespace}`,
  });
}

/** By the texts of the API server and of our webhook: api/decisions.ts. */
function refused(text: string, namespace: string): Finding {
  if (/failed calling webhook "[\w.]*aadpodidentity/.test(text))
    return broken(callFailureOf(text, 'WebhookDown'), {
      title,
      message: text,
      advice: 'Mend the webhook first.',
      command: 'kubectl aad-pod-identity check',
    });
  return broken(refusalOf(text), {
    title,
    message: text,
    advice: 'Change the template of the pod as the message says.',
    command: `kubectl get events -n ${namespace} --field-selector reason=FailedCreate`,
  });
}

function refusalOf(text: string): Code {
  if (/this namespace is guarded|the guard of this namespace/.test(text)) return 'RefusedByGuard';
  return /ValidatingAdmissionPolicy/.test(text) ? 'RefusedByPolicy' : 'PodRefused';
}
