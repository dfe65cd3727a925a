import { stringAt } from '../../../lib/kube/objects.ts';
import type { Installation, Release } from '../../cluster/installation.ts';
import { entriesOf, readyAddresses } from '../../cluster/installation.ts';
import type { TrialAdmission } from '../../cluster/trial-admission.ts';
import { webhookName } from '../../cluster/trial-admission.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed, unknown, warning } from '../../finding.ts';
import { unreadable } from '../unreadable.ts';
import { callFailureOf } from '../webhook-call.ts';

const logsOf = (component: string, namespace: string): string =>
  `kubectl logs -n ${namespace} -l app.kubernetes.io/component=${component} --tail=50`;

export function checkWebhook(installation: Installation, release: Release, trial: TrialAdmission): Finding[] {
  const { webhookConfiguration } = installation;
  if (!('value' in webhookConfiguration))
    return webhookConfiguration.why === 'absent' ? [] : [unreadable('registration', webhookConfiguration)];
  const entries = entriesOf(webhookConfiguration.value);
  return [checkReplicas(release), checkEntries(entries, release), ...checkTrial(trial, release)];
}

function checkReplicas({ namespace, webhookEndpoints }: Release): Finding {
  const title = 'ready replicas';
  if (!('value' in webhookEndpoints)) {
    return webhookEndpoints.why === 'absent' ? noReplicas(namespace) : unreadable(title, webhookEndpoints);
  }
  const ready = readyAddresses(webhookEndpoints.value);
  return ready > 0 ? passed(`${ready} ready`) : noReplicas(namespace);
}

const noReplicas = (namespace: string): Finding =>
  broken('WebhookDown', {
    title: 'ready replicas',
    message: 'no replica of the webhook is ready, so the API server refuses every pod with the label aadpodidbinding',
    advice: 'Look at its pods and its log.',
    command: logsOf('webhook', namespace),
  });

function checkEntries(entries: readonly unknown[], { namespace }: Release): Finding {
  const inject = entries.find((entry) => stringAt(entry, 'name') === webhookName);
  if (inject === undefined)
    return broken('WebhookNotRegistered', {
      title: 'registration',
      message: `the webhook configuration has no entry ${webhookName}, so no pod is injected; the controller adds it once a webhook serves with its certificate`,
      advice: 'See what the controller waits for.',
      command: logsOf('controller', namespace),
    });
  const changed = changeOf(entries, inject, namespace);
  if (changed === undefined) return passed(`registered: ${entries.length === 1 ? 'one entry' : `${entries.length} entries`}`);
  return warning('WebhookChanged', {
    title: 'registration',
    message: changed,
    advice: 'The controller writes the entries again within a minute. If it stays, something else writes them: see who.',
    command: 'kubectl get mutatingwebhookconfiguration zz-aad-pod-identity-webhook -o yaml --show-managed-fields',
  });
}

/** What differs from the entries of the chart, of what matters most. */
function changeOf(entries: readonly unknown[], inject: unknown, namespace: string): string | undefined {
  if (stringAt(inject, 'failurePolicy') !== 'Fail')
    return `failurePolicy of ${webhookName} is not Fail: while no webhook answers, labelled pods start without a token proxy`;
  const foreign = entries.find((entry) => stringAt(entry, 'clientConfig', 'service', 'namespace') !== namespace);
  return foreign === undefined ? undefined : `${stringAt(foreign, 'name')} does not call the webhook of namespace ${namespace}`;
}

function checkTrial(trial: TrialAdmission, { namespace }: Release): Finding[] {
  const title = 'trial: a labelled pod as a dry run';
  const command = logsOf('webhook', namespace);
  switch (trial.outcome) {
    case 'injected':
      return [passed(`injects a labelled pod, in ${Math.round(trial.ms)} ms as a dry run`)];
    case 'not injected':
      return [
        unknown('NotInjected', {
          title,
          message: 'the pod came back without a token proxy: its namespace may be one that the webhook leaves out, or an exception applies',
          advice: 'Try a namespace that runs labelled pods: --namespace.',
        }),
      ];
    case 'unreachable':
      return [
        broken(callFailureOf(trial.text, 'WebhookBlocked'), {
          title,
          message: trial.text,
          advice:
            'The API server cannot call the webhook. See whether a network policy or a firewall keeps it from port 9443 of the webhook pods.',
          command,
        }),
      ];
    case 'refused':
      return [unknown('PodRefused', { title, message: trial.text, advice: 'Try a namespace that admits pods: --namespace.' })];
    case 'denied':
      return [
        unknown('RightMissing', {
          title,
          message: trial.text,
          advice: 'The trial needs the right to create pods in the namespace; nothing is created.',
        }),
      ];
    case 'failed':
      return [unknown('ReadFailed', { title, message: trial.text, advice: 'Run the command again.' })];
  }
}
