// `check`: the installation, from the API server to the pods.
import type { Installation } from '../../cluster/installation.ts';
import type { TrialAdmission } from '../../cluster/trial-admission.ts';
import type { Section } from '../../finding.ts';
import { broken } from '../../finding.ts';
import { unreadable } from '../unreadable.ts';
import { checkApiServer } from './api-server.ts';
import { checkBroker } from './broker.ts';
import { checkController } from './controller.ts';
import { checkSidecars, checkUpstream } from './neighbours.ts';
import { checkPolicies } from './policies.ts';
import { checkWebhook } from './webhook.ts';

export interface CheckInput {
  installation: Installation;
  trial: TrialAdmission;
  now: Date;
}

export function checkInstallation({ installation, trial, now }: CheckInput): Section[] {
  const { release } = installation;
  const apiServer = { title: 'Kubernetes', findings: checkApiServer(installation) };
  const neighbours = { title: 'aad-pod-identity', findings: checkUpstream(installation) };
  if (release === undefined) return [apiServer, notInstalled(installation), neighbours];
  return [
    apiServer,
    { title: `Webhook, in namespace ${release.namespace}`, findings: checkWebhook(installation, release, trial, now) },
    { title: 'Controller', findings: checkController(release, now) },
    { title: 'Broker', findings: [checkBroker(release)] },
    { title: 'Policies', findings: checkPolicies(installation) },
    { title: 'Pods', findings: checkSidecars(installation) },
    neighbours,
  ].filter(({ findings }) => findings.length > 0);
}

function notInstalled({ webhookConfiguration }: Installation): Section {
  const title = 'Installation';
  if (!('value' in webhookConfiguration) && webhookConfiguration.why !== 'absent')
    return { title, findings: [unreadable('webhook configuration', webhookConfiguration)] };
  return {
    title,
    findings: [
      broken('NotInstalled', {
        title: 'webhook configuration',
        message: 'the cluster has no webhook configuration of this system that names a release',
        advice: 'Install the chart: docs/install.md. If it is installed, name its namespace with --release-namespace.',
        command: 'helm list -A',
      }),
    ],
  };
}
