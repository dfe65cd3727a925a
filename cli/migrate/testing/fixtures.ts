// Objects of a cluster with aad-pod-identity, each with what a test needs of it.
import type { Section } from '../../finding.ts';
import { isProblem } from '../../finding.ts';
import { migrationSections } from '../findings/find.ts';
import { inputOf } from '../input.ts';

const group = 'aadpodidentity.k8s.io/v1';

export interface Metadata {
  name: string;
  namespace?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

export const resourceIdOf = (name: string): string =>
  `/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`;

/** `name` may be `namespace/name`; the namespace is otherwise team-a. */
function metadataFor(name: string, more: Omit<Metadata, 'name'> = {}): Metadata {
  const [namespace = '', own] = name.split('/');
  return { name: own ?? namespace, namespace: own === undefined ? 'team-a' : namespace, ...more };
}

export const identity = (name: string, spec: object = {}, more: Omit<Metadata, 'name'> = {}) => ({
  apiVersion: group,
  kind: 'AzureIdentity',
  metadata: metadataFor(name, more),
  spec: { type: 0, resourceID: resourceIdOf(name.split('/').at(-1) ?? ''), clientID: '11111111-0000-4000-8000-000000000001', ...spec },
});

export const binding = (name: string, azureIdentity: string, selector: string, more: Omit<Metadata, 'name'> = {}) => ({
  apiVersion: group,
  kind: 'AzureIdentityBinding',
  metadata: metadataFor(name, more),
  spec: { azureIdentity, selector },
});

export const exception = (name: string, podLabels: object) => ({
  apiVersion: group,
  kind: 'AzurePodIdentityException',
  metadata: metadataFor(name),
  spec: { podLabels },
});

export const podTemplate = (selector: string | undefined, spec: object = {}, metadata: Partial<Metadata> = {}) => ({
  metadata: { ...metadata, labels: { ...(selector === undefined ? {} : { aadpodidbinding: selector }), ...metadata.labels } },
  spec: { containers: [{ name: 'app', image: 'app' }], ...spec },
});

export const workload = (kind: string, name: string, template: object, more: Omit<Metadata, 'name'> = {}) => ({
  apiVersion: kind === 'Job' ? 'batch/v1' : 'apps/v1',
  kind,
  metadata: metadataFor(name, more),
  spec: { template },
});

export const deployment = (name: string, selector: string, spec: object = {}, metadata: Partial<Metadata> = {}) =>
  workload('Deployment', name, podTemplate(selector, spec, metadata));

export const pod = (name: string, selector: string, more: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { ...metadataFor(name), labels: { aadpodidbinding: selector }, ...more },
  spec: { containers: [{ name: 'app', image: 'app' }] },
});

export const namespace = (name: string, labels: Record<string, string> = {}, annotations: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels, annotations },
});

const helmRelease = { 'meta.helm.sh/release-name': 'aad-pod-identity', 'meta.helm.sh/release-namespace': 'kube-system' };

interface ProgramOptions {
  args?: readonly string[];
  env?: readonly object[];
  spec?: object;
  labels?: Record<string, string>;
  /** Installed by Helm. */
  release?: boolean;
  replicas?: number;
}

function program(component: 'mic' | 'nmi', { args = [], env = [], spec = {}, labels = {}, release = true, replicas }: ProgramOptions) {
  return {
    apiVersion: 'apps/v1',
    kind: component === 'mic' ? 'Deployment' : 'DaemonSet',
    metadata: { name: `aad-pod-identity-${component}`, namespace: 'kube-system', labels, ...(release ? { annotations: helmRelease } : {}) },
    spec: {
      ...(replicas === undefined ? {} : { replicas }),
      template: {
        metadata: { labels: { 'app.kubernetes.io/component': component, ...labels } },
        spec: { containers: [{ name: component, image: `aad-pod-identity/${component}:v1.8.17`, args, env }], ...spec },
      },
    },
  };
}

export const mic = (options: ProgramOptions = {}) => program('mic', options);
export const nmi = (options: ProgramOptions = {}) => program('nmi', options);
export const ofRelease = { annotations: helmRelease };

/** Moves without a finding. */
export const healthy = (): unknown[] => [
  mic(),
  nmi({ args: ['--node=$(NODE_NAME)', '--http-probe-port=8085', '--enableScaleFeatures=true', '--operation-mode=standard'] }),
  identity('reader'),
  binding('reader', 'reader', 'web'),
  deployment('web', 'web'),
  namespace('team-a'),
];

export const sectionsOf = (objects: readonly unknown[]): Section[] => migrationSections(inputOf(objects, 'default'), []);

/** In the order of the report. */
export const codesOf = (objects: readonly unknown[]): string[] =>
  sectionsOf(objects).flatMap(({ findings }) => findings.flatMap((finding) => (isProblem(finding) ? [finding.code] : [])));
