// Everything that `check` reads of the cluster, at once.

import type { InstallationStatus } from '../../api/installation-status.ts';
import { statusConfigMapName, statusKey } from '../../api/installation-status.ts';
import {
  apiGroup,
  brokerServiceName,
  caBundleConfigMapName,
  caBundleKey,
  injectedLabel,
  leaderLeaseName,
  webhookConfigurationName,
  webhookServiceName,
} from '../../api/names.ts';
import type { Assignment } from '../../lib/identities/assignment.ts';
import { assignmentOf } from '../../lib/identities/assignment.ts';
import { parseInstallationStatus } from '../../lib/identities/installation-status.ts';
import type { MatchRules } from '../../lib/identities/match.ts';
import { at, isRecord, metadataOf, stringAt } from '../../lib/kube/objects.ts';
import type { Resource } from '../../lib/kube/resources.ts';
import {
  azureAssignedIdentities,
  configMaps,
  customResourceDefinitions,
  endpointSlices,
  leases,
  mutatingWebhookConfigurations,
  pods,
  services,
} from '../../lib/kube/resources.ts';
import type { Read, Reader } from './reader.ts';
import { valueOr } from './reader.ts';

const policies: Resource = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  plural: 'validatingadmissionpolicies',
  kind: 'ValidatingAdmissionPolicy',
};

const policyBindings: Resource = {
  ...policies,
  plural: 'validatingadmissionpolicybindings',
  kind: 'ValidatingAdmissionPolicyBinding',
};

/** Label of every object that the chart renders. */
const chartLabel = 'app.kubernetes.io/name=aad-pod-identity-webhook';

/** The programs of a release. */
export interface Release {
  readonly namespace: string;
  readonly lease: Read<unknown>;
  /** Undefined: the ConfigMap is there and holds something else. */
  readonly status: Read<InstallationStatus | undefined>;
  /** PEM. */
  readonly caBundle: Read<string>;
  readonly webhookEndpoints: Read<readonly unknown[]>;
  readonly brokerEndpoints: Read<readonly unknown[]>;
  readonly brokerService: Read<unknown>;
}

/** What `check pod` needs of the installation. */
export interface InstallationParts {
  readonly webhookConfiguration: Read<unknown>;
  /** Undefined: nothing says where the chart is installed. */
  readonly release: Release | undefined;
  /** Pods of an NMI or a MIC of aad-pod-identity. */
  readonly upstreamPods: Read<readonly unknown[]>;
}

export interface Installation extends InstallationParts {
  readonly version: Read<unknown>;
  readonly crds: Read<readonly unknown[]>;
  readonly policies: Read<readonly unknown[]>;
  readonly policyBindings: Read<readonly unknown[]>;
  readonly assignments: Read<readonly Assignment[]>;
  readonly injectedPods: Read<readonly unknown[]>;
}

export async function readInstallation(reader: Reader, releaseNamespace: string | undefined): Promise<Installation> {
  const [parts, version, crds, allPolicies, allBindings, assignments, injectedPods] = await Promise.all([
    readInstallationParts(reader, releaseNamespace),
    reader.call('/version', 'get /version'),
    reader.list(customResourceDefinitions),
    reader.list(policies, { labelSelector: chartLabel }),
    reader.list(policyBindings, { labelSelector: chartLabel }),
    reader.list(azureAssignedIdentities),
    reader.list(pods, { labelSelector: injectedLabel }),
  ]);
  return {
    ...parts,
    version,
    crds: mapRead(crds, (items) => items.filter((crd) => stringAt(crd, 'spec', 'group') === apiGroup)),
    policies: allPolicies,
    policyBindings: allBindings,
    assignments: mapRead(assignments, (items) => items.flatMap((raw) => assignmentOf(raw) ?? [])),
    injectedPods,
  };
}

export async function readInstallationParts(reader: Reader, releaseNamespace: string | undefined): Promise<InstallationParts> {
  const configuration = reader.get(mutatingWebhookConfigurations, { name: webhookConfigurationName });
  const found = configuration.then((read) => {
    const namespace = releaseNamespace ?? ('value' in read ? namespaceOf(read.value) : undefined);
    return namespace === undefined ? undefined : readRelease(reader, namespace);
  });
  const [webhookConfiguration, release, upstreamPods] = await Promise.all([configuration, found, readUpstreamPods(reader)]);
  return { webhookConfiguration, release, upstreamPods };
}

/** The entries say which release gets the pods. Before the controller has added them there is only what Helm wrote. */
function namespaceOf(configuration: unknown): string | undefined {
  const [entry] = entriesOf(configuration);
  return (
    stringAt(entry, 'clientConfig', 'service', 'namespace') ?? metadataOf(configuration).annotations?.['meta.helm.sh/release-namespace']
  );
}

export function entriesOf(configuration: unknown): Record<string, unknown>[] {
  const webhooks = at(configuration, 'webhooks');
  return Array.isArray(webhooks) ? webhooks.filter(isRecord) : [];
}

async function readRelease(reader: Reader, namespace: string): Promise<Release> {
  const endpointsOf = (service: string) =>
    reader.list(endpointSlices, { namespace, labelSelector: `kubernetes.io/service-name=${service}` });
  const [lease, status, caBundle, webhookEndpoints, brokerEndpoints, brokerService] = await Promise.all([
    reader.get(leases, { namespace, name: leaderLeaseName }),
    readStatus(reader, namespace),
    reader.get(configMaps, { namespace, name: caBundleConfigMapName }),
    endpointsOf(webhookServiceName),
    endpointsOf(brokerServiceName),
    reader.get(services, { namespace, name: brokerServiceName }),
  ]);
  return {
    namespace,
    lease,
    status,
    caBundle: mapRead(caBundle, (object) => stringAt(object, 'data', caBundleKey) ?? ''),
    webhookEndpoints,
    brokerEndpoints,
    brokerService,
  };
}

const readStatus = async (reader: Reader, namespace: string): Promise<Read<InstallationStatus | undefined>> =>
  mapRead(await reader.get(configMaps, { namespace, name: statusConfigMapName }), (object) =>
    parseInstallationStatus(stringAt(object, 'data', statusKey) ?? ''),
  );

/** Of the leader; undefined where it cannot be read. */
export const leaderStatusOf = (release: Release | undefined): InstallationStatus | undefined =>
  release === undefined ? undefined : valueOr(release.status, undefined);

/** How the controller of the release matches pods. Its defaults where its status cannot be read. */
export async function readMatchRules(reader: Reader, releaseNamespace: string | undefined): Promise<MatchRules> {
  const read = await reader.get(mutatingWebhookConfigurations, { name: webhookConfigurationName });
  const namespace = releaseNamespace ?? ('value' in read ? namespaceOf(read.value) : undefined);
  return matchRulesOf(namespace === undefined ? undefined : valueOr(await readStatus(reader, namespace), undefined));
}

export function matchRulesOf(status: InstallationStatus | undefined): MatchRules {
  const { forceNamespaced = false, bindingNamespaces = [] } = status?.settings ?? {};
  return { forceNamespaced: forceNamespaced || status?.mode === 'managed', bindingNamespaces };
}

/** Of the Helm chart, then of the static manifests and the AKS add-on: docs/reference/aad-pod-identity.md. */
async function readUpstreamPods(reader: Reader): Promise<Read<readonly unknown[]>> {
  const selectors = ['app.kubernetes.io/component in (mic,nmi)', 'component in (mic,nmi)'];
  const found = await Promise.all(selectors.map((labelSelector) => reader.list(pods, { labelSelector })));
  const all = found.flatMap((read) => ('value' in read ? read.value : []));
  const failed = found.find((read) => !('value' in read));
  return failed ?? { value: [...new Map(all.map((pod) => [metadataOf(pod).uid, pod])).values()] };
}

export function mapRead<T, U>(read: Read<T>, map: (value: T) => U): Read<U> {
  return 'value' in read ? { value: map(read.value) } : read;
}

/** Addresses that a Service sends connections to. */
export function readyAddresses(slices: readonly unknown[]): number {
  return slices
    .flatMap((slice) => at(slice, 'endpoints'))
    .filter((endpoint) => at(endpoint, 'conditions', 'ready') !== false && Array.isArray(at(endpoint, 'addresses'))).length;
}
