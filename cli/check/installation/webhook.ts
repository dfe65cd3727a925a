import { stringAt } from '../../../lib/kube/objects.ts';
import { parseCertificates } from '../../../lib/tls/key-pair.ts';
import type { Installation, Release } from '../../cluster/installation.ts';
import { entriesOf, readyAddresses } from '../../cluster/installation.ts';
import type { TrialAdmission } from '../../cluster/trial-admission.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed, unknown } from '../../finding.ts';
import { unreadable } from '../unreadable.ts';
import { callFailureOf } from '../webhook-call.ts';

const logsOf = (component: string, namespace: string): string =>
  `kubectl logs -n ${namespace} -l app.kubernetes.io/component=${component} --tail=50`;

export function checkWebhook(installation: Installation, release: Release, trial: TrialAdmission, now: Date): Finding[] {
  const { webhookConfiguration } = installation;
  if (!('value' in webhookConfiguration))
    return webhookConfiguration.why === 'absent' ? [] : [unreadable('registration', webhookConfiguration)];
  const entries = entriesOf(webhookConfiguration.value);
  return [checkReplicas(release), ...checkEntries(entries, release, now), ...checkTrial(trial, release)];
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

function checkEntries(entries: readonly unknown[], { namespace, caBundle }: Release, now: Date): Finding[] {
  const title = 'registration';
  if (entries.length === 0)
    return [
      broken('WebhookNotRegistered', {
        title,
        message:
          'the webhook configuration has no entries, so no pod is injected; the controller adds them once a webhook serves with its certificate',
        advice: 'See what the controller waits for.',
        command: logsOf('controller', namespace),
      }),
    ];
  const bundles = entries.map((entry) => Buffer.from(stringAt(entry, 'clientConfig', 'caBundle') ?? '', 'base64').toString());
  return [passed(`registered: ${entries.length === 1 ? 'one entry' : `${entries.length} entries`}`), checkCaBundle(bundles, caBundle, now)];
}

function checkCaBundle(bundles: readonly string[], caBundle: Release['caBundle'], now: Date): Finding {
  const title = 'caBundle';
  const wrong = (message: string) =>
    broken('CaBundleWrong', {
      title,
      message: `${message}, so the API server does not trust the webhook`,
      advice: 'The controller writes it again within a minute. If it stays, something else writes it: see who.',
      command: 'kubectl get mutatingwebhookconfiguration zz-aad-pod-identity-webhook -o yaml --show-managed-fields',
    });
  for (const bundle of bundles) {
    const roots = parseCertificates(bundle);
    if (roots.length === 0) return wrong('an entry has no certificate in its caBundle');
    if (roots.every(({ validTo }) => new Date(validTo) < now))
      return broken('CertificateExpired', {
        title,
        message: `every CA in the caBundle has ended, the last one on ${roots.at(-1)?.validTo}`,
        advice: 'The controller renews certificates. See why it does not.',
        command: 'kubectl get lease aad-pod-identity-controller -A',
      });
  }
  if (!('value' in caBundle)) return caBundle.why === 'absent' ? passed('holds valid certificates') : unreadable(title, caBundle);
  const own = parseCertificates(caBundle.value).map(({ fingerprint256 }) => fingerprint256);
  const isOurs = bundles.every((bundle) => parseCertificates(bundle).some(({ fingerprint256 }) => own.includes(fingerprint256)));
  return isOurs ? passed('holds the CA of this release') : wrong('the caBundle has no CA of this release');
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
