// Which identities the pod has by bindings: the same matching as in the controller and the broker.
import { testPodName } from '../../../api/names.ts';
import type { Binding } from '../../../lib/identities/binding.ts';
import type { Identity } from '../../../lib/identities/identity.ts';
import type { Match, MatchRules } from '../../../lib/identities/match.ts';
import { bindingsOfPod, isNearMiss, matchPod } from '../../../lib/identities/match.ts';
import type { Pod } from '../../../lib/identities/pod.ts';
import type { PodFacts } from '../../cluster/pod-facts.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed, skipped, warning } from '../../finding.ts';
import { unreadable } from '../unreadable.ts';

export interface Bound {
  findings: Finding[];
  matches: Match[];
}

export function checkBound(facts: PodFacts, pod: Pod, rules: MatchRules): Bound {
  const { bindings, identities } = facts;
  if (!('value' in bindings))
    return { findings: [bindings.why === 'absent' ? noKind('AzureIdentityBinding') : unreadable('bindings', bindings)], matches: [] };
  if (!('value' in identities))
    return { findings: [identities.why === 'absent' ? noKind('AzureIdentity') : unreadable('identities', identities)], matches: [] };
  const counting = bindingsOfPod(pod, bindings.value, rules);
  if (counting.length === 0) {
    const isTest = pod.name === testPodName && pod.selector === testPodName;
    return { findings: [isTest ? skipped('the pod of `helm test` needs no binding') : noBinding(pod, bindings.value)], matches: [] };
  }
  const byKey = new Map(identities.value.map((identity) => [identity.key, identity]));
  const { matches } = matchPod(pod, bindings.value, (key) => byKey.get(key), rules);
  const dangling = counting.filter(({ identityKey }) => !byKey.has(identityKey));
  const missing = dangling.map((binding) => noIdentity(binding, identities.value, matches.length > 0));
  const bound = matches.map(({ identity, binding }) => passed(`AzureIdentityBinding ${binding.key} gives AzureIdentity ${identity.key}`));
  if (bound.length + missing.length > 0) return { findings: [...bound, ...missing], matches };
  return { findings: [allNamespaced(pod, counting)], matches };
}

const noKind = (kind: string): Finding =>
  broken('CrdsMissing', {
    title: kind,
    message: `the cluster has no kind ${kind}`,
    advice: 'Install the chart: docs/install.md.',
    command: 'kubectl aad-pod-identity check',
  });

function noBinding(pod: Pod, bindings: readonly Binding[]): Finding {
  const title = 'binding';
  const elsewhere = bindings.find(({ selector, namespace }) => selector === pod.selector && namespace !== pod.namespace);
  if (elsewhere !== undefined)
    return broken('BindingElsewhere', {
      title,
      message: `AzureIdentityBinding ${elsewhere.key} has the selector ${pod.selector}, and bindings of that namespace do not count for this pod`,
      advice: `Make binding and identity in namespace ${pod.namespace}, or have the platform team list the other namespace in bindingNamespaces.`,
      command: `kubectl get azureidentitybindings -n ${elsewhere.namespace}`,
    });
  const near = bindings.find((binding) => binding.namespace === pod.namespace && isNearMiss(pod, binding));
  return broken('BindingMissing', {
    title,
    message: `no AzureIdentityBinding has the selector ${pod.selector}${near === undefined ? '' : `; AzureIdentityBinding ${near.key} has ${near.selector || 'none'}`}`,
    advice:
      near === undefined
        ? 'Make an AzureIdentityBinding with this selector.'
        : `Make the label of the pod and spec.selector of AzureIdentityBinding ${near.key} equal: case counts.`,
    command: `kubectl get azureidentitybindings -n ${pod.namespace} -o custom-columns=NAME:.metadata.name,SELECTOR:.spec.selector,IDENTITY:.spec.azureIdentity`,
  });
}

function noIdentity({ key, name, namespace, identityKey }: Binding, identities: readonly Identity[], hasOthers: boolean): Finding {
  const others = identities.filter((identity) => identity.namespace === namespace).map(({ name }) => name);
  const [only, ...more] = others;
  const details = {
    title: 'identity',
    message: `AzureIdentityBinding ${key} names AzureIdentity ${identityKey.split('/')[1]}, which namespace ${namespace} does not have`,
    advice:
      only === undefined
        ? 'Make the AzureIdentity.'
        : `Correct spec.azureIdentity of the binding: the namespace has AzureIdentity ${others.slice(0, 5).join(', ')}.`,
    command:
      only === undefined || more.length > 0
        ? `kubectl get azureidentities -n ${namespace}`
        : `kubectl patch azureidentitybinding ${name} -n ${namespace} --type merge -p '${JSON.stringify({ spec: { azureIdentity: only } })}'`,
  };
  return hasOthers ? warning('IdentityMissing', details) : broken('IdentityMissing', details);
}

const allNamespaced = (pod: Pod, counting: readonly Binding[]): Finding =>
  broken('BindingElsewhere', {
    title: 'binding',
    message: `${counting.map(({ key }) => key).join(', ')} give identities that are limited to pods of their own namespace`,
    advice: `Make binding and identity in namespace ${pod.namespace}.`,
    command: `kubectl get azureidentities -n ${counting[0]?.namespace} -o yaml`,
  });
