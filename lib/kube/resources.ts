import type { Kind } from '../../api/kinds.ts';
import { plurals } from '../../api/kinds.ts';
import { apiGroup, apiVersion } from '../../api/names.ts';

export interface Resource {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
}

const core = (plural: string, kind: string): Resource => ({ group: '', version: 'v1', plural, kind });
const ours = (kind: Kind): Resource => ({ group: apiGroup, version: apiVersion, plural: plurals[kind], kind });

export const pods = core('pods', 'Pod');
export const nodes = core('nodes', 'Node');
export const namespaces = core('namespaces', 'Namespace');
export const services = core('services', 'Service');
export const secrets = core('secrets', 'Secret');
export const configMaps = core('configmaps', 'ConfigMap');
export const limitRanges = core('limitranges', 'LimitRange');
export const endpoints = core('endpoints', 'Endpoints');
export const events: Resource = { group: 'events.k8s.io', version: 'v1', plural: 'events', kind: 'Event' };
export const customResourceDefinitions: Resource = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
};
export const endpointSlices: Resource = { group: 'discovery.k8s.io', version: 'v1', plural: 'endpointslices', kind: 'EndpointSlice' };
export const leases: Resource = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', kind: 'Lease' };
const workloads = (group: 'apps' | 'batch', plural: string, kind: string): Resource => ({ group, version: 'v1', plural, kind });
export const deployments = workloads('apps', 'deployments', 'Deployment');
export const statefulSets = workloads('apps', 'statefulsets', 'StatefulSet');
export const daemonSets = workloads('apps', 'daemonsets', 'DaemonSet');
export const jobs = workloads('batch', 'jobs', 'Job');
export const cronJobs = workloads('batch', 'cronjobs', 'CronJob');
export const tokenReviews: Resource = { group: 'authentication.k8s.io', version: 'v1', plural: 'tokenreviews', kind: 'TokenReview' };
export const mutatingWebhookConfigurations: Resource = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  plural: 'mutatingwebhookconfigurations',
  kind: 'MutatingWebhookConfiguration',
};
export const clusterRoles: Resource = { group: 'rbac.authorization.k8s.io', version: 'v1', plural: 'clusterroles', kind: 'ClusterRole' };
export const azureIdentities = ours('AzureIdentity');
export const azureIdentityBindings = ours('AzureIdentityBinding');
export const azureAssignedIdentities = ours('AzureAssignedIdentity');
export const azurePodIdentityExceptions = ours('AzurePodIdentityException');

export interface Place {
  namespace?: string;
  name?: string;
}

/** Path of a collection (no name) or an object (name), cluster-wide where no namespace is given. */
export function resourcePath(resource: Resource, place: Place = {}): string {
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const scope = place.namespace === undefined ? '' : `/namespaces/${encodeURIComponent(place.namespace)}`;
  const object = place.name === undefined ? '' : `/${encodeURIComponent(place.name)}`;
  return `${root}${scope}/${resource.plural}${object}`;
}
