// Tells people whether the API server calls the webhook.
import type { RegistrationReason } from '../../lib/identities/reasons.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';
import type { Logger } from '../../lib/log.ts';
import type { CertificateState } from './reconciler.ts';
import type { Registration } from './webhook-configuration.ts';

export interface RegistrationReporterOptions {
  log: Logger;
  events: Pick<EventRecorder<RegistrationReason>, 'record'>;
  namespace: string;
  webhookService: string;
  webhookConfiguration: string;
}

/** The returned function takes each state as it was found. Events are about the webhook's Service, whose uid `kubectl describe` needs to show them. */
export function createRegistrationReporter({ log, events, namespace, webhookService, webhookConfiguration }: RegistrationReporterOptions) {
  let last: Registration | undefined;

  return (registration: Registration, serviceUid: string | undefined): void => {
    const service = { apiVersion: 'v1', kind: 'Service', namespace, name: webhookService, uid: serviceUid };
    const before = last;
    last = registration;
    if (registration === 'absent') {
      const message = `MutatingWebhookConfiguration ${webhookConfiguration} does not exist, so labelled pods are created without a token proxy. The controller does not make it anew. To bring it back: helm upgrade RELEASE CHART -n ${namespace} --reuse-values`;
      log.warn({ configuration: webhookConfiguration, hint: message }, 'webhook configuration is missing');
      events.record(service, 'Warning', 'WebhookConfigurationMissing', message);
    } else if (registration === 'registered' && before !== undefined && before !== 'registered') {
      const message = `the API server calls the webhook from now on: labelled pods get a token proxy (MutatingWebhookConfiguration ${webhookConfiguration})`;
      log.info({ configuration: webhookConfiguration }, 'webhook registered');
      events.record(service, 'Normal', 'WebhookRegistered', message);
    }
  };
}

/** What a leader is not ready for; undefined when nothing is left to do for it. Before the first reconciliation the state is undefined. */
export function missingRegistration(state: CertificateState | undefined): string | undefined {
  if (state === undefined) return 'the webhook configuration was not compared yet';
  if (state.problem !== undefined) return state.problem;
  return state.registration === 'waiting' ? 'the webhook is not registered: its Service has no ready endpoint yet' : undefined;
}
