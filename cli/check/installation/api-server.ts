import { plurals } from '../../../api/kinds.ts';
import { apiGroup } from '../../../api/names.ts';
import { version as ownVersion } from '../../../api/version.ts';
import { crdVersion, isOlder } from '../../../lib/identities/crd-version.ts';
import { metadataOf, stringAt } from '../../../lib/kube/objects.ts';
import type { Installation } from '../../cluster/installation.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed, warning } from '../../finding.ts';
import { unreadable } from '../unreadable.ts';

const oldestMinor = 30;

export function checkApiServer({ version, crds }: Installation): Finding[] {
  return [checkVersion(version), ...checkCrds(crds)];
}

function checkVersion(version: Installation['version']): Finding {
  const title = 'version of Kubernetes';
  if (!('value' in version)) {
    if (version.why === 'absent') return passed('answers');
    if (version.why === 'failed')
      return broken('ApiServerUnreachable', {
        title: 'API server',
        message: version.message,
        advice: 'Compare the context and the server of the kubeconfig.',
        command: 'kubectl cluster-info',
      });
    return unreadable(title, version);
  }
  const found = stringAt(version.value, 'gitVersion') ?? 'of unknown version';
  const minor = Number(/^v1\.(\d+)/.exec(found)?.[1] ?? Number.NaN);
  if (minor >= oldestMinor || Number.isNaN(minor)) return passed(`answers: Kubernetes ${found}`);
  return broken('KubernetesTooOld', {
    title,
    message: `it is ${found}, and 1.${oldestMinor} is the oldest that has the policies and the match conditions of this chart`,
    advice: 'Upgrade the cluster.',
  });
}

const applyCrds = 'helm show crds CHART | kubectl apply --server-side --force-conflicts -f -';

function checkCrds(crds: Installation['crds']): Finding[] {
  const title = 'custom resource definitions';
  if (!('value' in crds)) {
    if (crds.why === 'absent') return [];
    return [unreadable(title, crds)];
  }
  const found = new Map(crds.value.map((crd) => [metadataOf(crd).name, crd]));
  const missing = Object.values(plurals)
    .map((plural) => `${plural}.${apiGroup}`)
    .filter((name) => !found.has(name));
  if (missing.length > 0)
    return [
      broken('CrdsMissing', {
        title,
        message: `the cluster does not have ${missing.join(', ')}`,
        advice: 'Apply the definitions of the chart.',
        command: applyCrds,
      }),
    ];
  const old = [...found].filter(([, crd]) => isOlder(crdVersion(crd), ownVersion)).map(([name]) => name);
  if (old.length === 0) return [passed('has the four kinds of this release')];
  return [
    warning('CrdsOld', {
      title,
      message: `older than this program: ${old.join(', ')}; kubectl may show less of their objects, and the API server checks less`,
      advice: 'Apply the definitions of the chart. Objects stay as they are.',
      command: applyCrds,
    }),
  ];
}
