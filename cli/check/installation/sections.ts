// `check`: the installation, from the API server to the pods.
import { version as ownVersion } from '../../../api/version.ts';
import type { Installation } from '../../cluster/installation.ts';
import { leaderStatusOf } from '../../cluster/installation.ts';
import type { NodeViews } from '../../cluster/node-views.ts';
import type { TrialAdmission } from '../../cluster/trial-admission.ts';
import type { Section } from '../../finding.ts';
import { broken } from '../../finding.ts';
import { unreadable } from '../unreadable.ts';
import { checkApiServer, checkVersion, isUnreachable } from './api-server.ts';
import { checkBroker } from './broker.ts';
import { checkCertificates } from './certificates.ts';
import { checkController } from './controller.ts';
import { checkIdentities } from './identities.ts';
import { checkSidecars, checkUpstream } from './neighbours.ts';
import { checkPolicies } from './policies.ts';
import { checkRelease } from './release.ts';
import { checkWebhook } from './webhook.ts';

export interface CheckInput {
  installation: Installation;
  trial: TrialAdmission;
  nodeViews: NodeViews;
  now: Date;
}

export function checkInstallation({ installation, trial, nodeViews, now }: CheckInput): Section[] {
  const { release } = installation;
  const title = 'Kubernetes';
  if (isUnreachable(installation)) return [{ title, findings: [checkVersion(installation.version)] }];
  const apiServer = { title, findings: checkApiServer(installation, now) };
  const neighbours = { title: 'aad-pod-identity', findings: checkUpstream(installation) };
  if (release === undefined) return [apiServer, notInstalled(installation), neighbours];
  const releaseVersion = leaderStatusOf(release)?.version ?? '';
  return [
    apiServer,
    { title: `Release in namespace ${release.namespace}`, findings: checkRelease(installation, release) },
    { title: 'Webhook', findings: checkWebhook(installation, release, trial) },
    { title: 'Certificates', findings: checkCertificates(installation, release, now) },
    { title: 'Controller', findings: checkController(installation, release, now) },
    { title: 'Identities', findings: checkIdentities(installation) },
    { title: 'Broker', findings: checkBroker(installation, release, nodeViews) },
    { title: 'Policies', findings: checkPolicies(installation, releaseVersion) },
    { title: 'Injected pods', findings: checkSidecars(installation, releaseVersion || ownVersion) },
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
