import { plurals } from '../../../api/kinds.ts';
import { apiGroup } from '../../../api/names.ts';
import { version as ownVersion } from '../../../api/version.ts';
import { crdVersion, isOlder } from '../../../lib/identities/crd-version.ts';
import { at, isRecord, metadataOf, stringAt } from '../../../lib/kube/objects.ts';
import type { Installation } from '../../cluster/installation.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed, warning } from '../../finding.ts';
import { age } from '../../output/table.ts';
import { unreadable } from '../unreadable.ts';

const oldestMinor = 30;

export function checkApiServer(installation: Installation, now: Date): Finding[] {
  const { version, crds, policies } = installation;
  return [checkVersion(version), ...checkFeatures(policies), ...checkCrds(crds, now)];
}

/** Nothing else can be read then. */
export const isUnreachable = ({ version }: Installation): boolean => 'why' in version && version.why === 'failed';

export function checkVersion(version: Installation['version']): Finding {
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

/** Native sidecars have no API of their own: the version says whether they are there. */
function checkFeatures(policies: Installation['policies']): Finding[] {
  if ('value' in policies) return [passed('serves validating admission policies')];
  if (policies.why !== 'absent') return [];
  return [
    warning('FeatureMissing', {
      title: 'features',
      message:
        'the API server does not serve ValidatingAdmissionPolicies (admissionregistration.k8s.io/v1), so nothing guards the markers of pods',
      advice: 'Have the flag --runtime-config of the API server leave that API on.',
      command: 'kubectl api-resources --api-group=admissionregistration.k8s.io',
    }),
  ];
}

const applyCrds = 'helm show crds CHART | kubectl apply --server-side --force-conflicts -f -';

function checkCrds(crds: Installation['crds'], now: Date): Finding[] {
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
  const refused = crds.value.flatMap((crd) => refusalOf(crd) ?? []);
  if (refused.length > 0)
    return [
      broken('CrdsMissing', {
        title,
        message: `the API server does not serve ${refused.join('; ')}`,
        advice: 'See its conditions. Another definition may have the same names.',
        command: `kubectl get crds -o wide | grep ${apiGroup}`,
      }),
    ];
  const old = [...found].filter(([, crd]) => isOlder(crdVersion(crd), ownVersion)).map(([name]) => name);
  if (old.length === 0) return [passed(`has the four kinds of this release${sinceOf(crds.value, now)}`)];
  return [
    warning('CrdsOld', {
      title,
      message: `older than this program: ${old.join(', ')}; kubectl may show less of their objects, and the API server checks less`,
      advice: 'Apply the definitions of the chart. Objects stay as they are.',
      command: applyCrds,
    }),
  ];
}

/** The API server serves a kind once both of these hold. */
const conditions = ['NamesAccepted', 'Established'];

function refusalOf(crd: unknown): string | undefined {
  const all = at(crd, 'status', 'conditions');
  const failing = (Array.isArray(all) ? all : [])
    .filter(isRecord)
    .find(({ type, status }) => conditions.includes(String(type)) && status === 'False');
  return failing === undefined ? undefined : `${metadataOf(crd).name} (${stringAt(failing, 'message') ?? String(failing.type)})`;
}

function sinceOf(crds: readonly unknown[], now: Date): string {
  const made = crds.map((crd) => Date.parse(metadataOf(crd).creationTimestamp ?? '')).filter(Number.isFinite);
  if (made.length === 0) return '';
  return `, the oldest made ${age(Math.max(0, Math.round((now.getTime() - Math.min(...made)) / 1000)))} ago`;
}
