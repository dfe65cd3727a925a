import { annotations } from '../../../api/names.ts';
import { version as ownVersion } from '../../../api/version.ts';
import { identityIdOf } from '../../../lib/azure/resource-ids.ts';
import type { Installation, Release } from '../../cluster/installation.ts';
import { leaderStatusOf } from '../../cluster/installation.ts';
import type { Finding } from '../../finding.ts';
import { passed, warning } from '../../finding.ts';

export function checkRelease(installation: Installation, release: Release): Finding[] {
  return [checkVersion(release), ...checkNamespace(installation, release)];
}

function checkVersion(release: Release): Finding {
  const found = leaderStatusOf(release)?.version ?? '';
  if (found === '' || found === ownVersion) return passed(found === '' ? 'is installed' : `version ${found}, that of this plugin`);
  return warning('PluginVersion', {
    title: 'version',
    message: `the release is ${found} and this plugin ${ownVersion}, so it may judge wrongly`,
    advice: 'Take the plugin of the release. It is in its control-plane image too, as /app/kubectl-aad_pod_identity.cjs.',
    command: 'kubectl aad-pod-identity version',
  });
}

function checkNamespace({ assignments }: Installation, release: Release): Finding[] {
  if (release.namespace !== 'default') return [];
  const all = 'value' in assignments ? assignments.value : [];
  const isFederated = all.some(({ metadata }) => identityIdOf(metadata.annotations?.[annotations.scope] ?? '') !== undefined);
  if (!isFederated && leaderStatusOf(release)?.settings.assignment !== 'federate') return [];
  return [
    warning('FederationFromDefault', {
      title: 'namespace default',
      message:
        'identities are federated for the service account of the broker, and whoever may create pods in namespace default can use that service account',
      advice: 'Install the release into a namespace of its own.',
      command: 'kubectl auth can-i create pods -n default --as USER',
    }),
  ];
}
