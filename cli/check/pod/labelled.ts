import { bindingLabel } from '../../../api/names.ts';
import { metadataOf, stringAt } from '../../../lib/kube/objects.ts';
import type { PodFacts } from '../../cluster/pod-facts.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed } from '../../finding.ts';

export function checkLabelled({ name, namespace, owners }: PodFacts, pod: unknown): Finding {
  const title = `label ${bindingLabel}`;
  const value = metadataOf(pod).labels?.[bindingLabel];
  if (value !== undefined && value !== '') return passed(`has the label ${bindingLabel}: ${value}`);
  if (value === '')
    return broken('LabelEmpty', {
      title,
      message: 'the label is there and empty, so it selects nothing',
      advice: 'Give it the selector of an AzureIdentityBinding, in the template of the pod.',
      command: `kubectl get azureidentitybindings -n ${namespace}`,
    });
  const owner = owners.find((object) => metadataOf(object).labels?.[bindingLabel] !== undefined);
  if (owner === undefined)
    return broken('NotLabelled', {
      title,
      message: 'the pod does not have the label, so it takes no part',
      advice: 'Add the label to the template of the pod: it counts when the pod is made.',
      command: `kubectl get pod ${name} -n ${namespace} --show-labels`,
    });
  const kind = stringAt(owner, 'kind') ?? 'owner';
  const selector = metadataOf(owner).labels?.[bindingLabel];
  const { name: ownerName } = metadataOf(owner);
  return broken('LabelOnOwnerOnly', {
    title,
    message: `${kind} ${ownerName} has the label in its own metadata, and its pods do not`,
    advice: 'Move it to spec.template.metadata.labels.',
    command: `kubectl patch ${kind.toLowerCase()} ${ownerName} -n ${namespace} -p '{"spec":{"template":{"metadata":{"labels":{"${bindingLabel}":"${selector}"}}}}}'`,
  });
}
