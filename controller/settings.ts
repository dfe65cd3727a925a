import {
  brokerCertificateSecretName,
  brokerServiceName,
  ports,
  tokenFile,
  webhookCertificateSecretName,
  webhookConfigurationName,
  webhookServiceName,
} from '../api/names.ts';
import { isAzureArea } from '../lib/azure/resource-ids.ts';
import { labelSelectorSetting } from '../lib/identities/label-selector-setting.ts';
import { identityPolicySetting } from '../lib/identities/policy-setting.ts';
import type { Values } from '../lib/settings.ts';
import { boolean, choice, flagOf, list, number, SettingsError, text } from '../lib/settings.ts';
import {
  assignment,
  assignmentOverrides,
  bindingNamespaces,
  certificateMode,
  certificateSecret,
  customUserAgent,
  entraEndpoint,
  federationAudience,
  forceNamespaced,
  kubeconfig,
  logFormat,
  logLevel,
  nodeEndpointDrivers,
  runtimeExceptions,
  sidecarSettingsHash,
} from '../lib/shared-settings.ts';
import { webhookEntriesSetting } from './certificates/webhook-entries-setting.ts';
import { azureLimits } from './scopes/pace.ts';
import { namesIdentity } from './scopes/protected.ts';

export const settings = {
  kubeconfig,
  namespace: text({ description: 'release namespace: home of the Lease, the certificates and the scope records', default: 'default' }),
  instance: text({ description: 'name of this replica in the Lease; empty is the host name', default: '' }),
  logLevel,
  logFormat,
  clientQps: number({ description: 'calls a second to the API server', default: 250, min: 1, integer: false }),
  createDeleteBatch: number({
    description: 'pods whose AzureAssignedIdentities are made or released at the same time',
    default: 20,
    min: 1,
    max: 1000,
  }),
  customUserAgent,

  probesListen: text({ description: '/healthz and /readyz', form: 'address:port', default: `:${ports.controller.probes}` }),
  metricsListen: text({ description: '/metrics', form: 'address:port', default: `:${ports.controller.metrics}` }),
  brokerService: text({ description: 'Service of the broker, part of its certificate', default: brokerServiceName }),
  webhookService: text({ description: 'Service of the webhook, part of its certificate', default: webhookServiceName }),
  webhookConfiguration: text({
    description: 'MutatingWebhookConfiguration that gets the entries and names the release in charge',
    default: webhookConfigurationName,
  }),
  sidecarSettingsHash,
  webhookEntries: webhookEntriesSetting,
  certificateMode,
  webhookCertificateSecret: certificateSecret(webhookCertificateSecretName),
  brokerCertificateSecret: certificateSecret(brokerCertificateSecretName),
  certificatesDirectory: text({
    description: 'with webhook/ and broker/, each with tls.crt and ca.crt of its Secret; for certificates of others',
    form: 'a directory',
    default: '/etc/aad-pod-identity/certificates',
  }),
  caBundle: text({ description: 'CAs of the certificates of others; empty: those of ca.crt', form: 'PEM certificates', default: '' }),

  expectedExceptions: list({
    description: 'AzurePodIdentityExceptions that should exist; an Event tells which are missing',
    form: 'namespace/name',
    accepts: (key) => /^[a-z0-9.-]+\/[a-z0-9.-]+$/.test(key),
    default: [],
  }),
  expectedClusterRoles: list({
    description: 'ClusterRoles that should exist; an Event tells which are missing',
    form: 'names',
    accepts: (name) => /^[^\s/]+$/.test(name),
    default: [],
  }),

  leaseDuration: number({
    description: 'a leader that is silent for so long is replaced',
    unit: 'seconds',
    default: 10,
    min: 0.1,
    integer: false,
  }),
  leaseRenew: number({
    description: 'a leader that could not renew for so long stops writing',
    unit: 'seconds',
    default: 7,
    min: 0.1,
    integer: false,
  }),
  leaseRetry: number({ description: 'time between two attempts at the Lease', unit: 'seconds', default: 2, min: 0.1, integer: false }),

  operationMode: choice(['standard', 'managed'], {
    description: 'managed: nothing is written to Azure, because somebody else attaches the identities',
    default: 'standard',
  }),
  forceNamespaced,
  bindingNamespaces,
  identityPolicy: identityPolicySetting,
  guardNamespaceSelector: labelSelectorSetting(
    'guardNamespaceSelector',
    'namespaces in which every pod has a guard; pods without one are told in Events; without the setting nothing is listed',
  ),
  runtimeExceptions,
  assignment,
  assignmentOverrides,
  federationAudience,
  nodeEndpointDrivers,
  azureScopes: list({
    description: 'where nodes may be: identities are attached to no scale set or VM outside; empty is anywhere',
    form: '/subscriptions/<id> or /subscriptions/<id>/resourceGroups/<name>',
    accepts: isAzureArea,
    default: [],
  }),
  watchWorkloads: boolean({
    description: 'watch Deployments, StatefulSets, DaemonSets, Jobs and CronJobs that have the label, to tell where their pods lack it',
    default: true,
  }),
  assignUninjected: boolean({ description: 'assign identities also to labelled pods without our sidecar', default: false }),
  immutableUserMsis: list({
    description: 'identities that are never detached',
    form: 'client ids (GUIDs) or resource ids',
    accepts: namesIdentity,
    default: [],
  }),
  adoptAttached: boolean({
    description: 'treat identities that were attached before, by an aad-pod-identity MIC, as ours to detach',
    default: false,
  }),
  upstreamQuiet: number({
    description: 'an aad-pod-identity MIC whose lock was not renewed for so long is gone; before, nothing is written',
    unit: 'seconds',
    default: 60,
    min: 1,
  }),
  ignoreUpstreamLock: boolean({
    description:
      'write although an aad-pod-identity MIC seems to hold its lock: for clusters without one, where others may write that lock',
    default: false,
  }),
  federationManageCredentials: boolean({
    description:
      'make and delete federated credentials; without it the credentials that exist are used, and a missing one is told with the command',
    default: true,
  }),
  federatedDetachDelay: number({
    description: 'time that the federated credential of an unused identity stays',
    unit: 'seconds',
    default: 86_400,
    max: 30 * 86_400,
  }),
  brokerAddress: text({
    description: 'where the broker is called, in place of its Service',
    form: 'host:port',
    pattern: /^[^/\s]+:\d{1,5}$/,
    default: '',
  }),
  brokerTokenFile: text({ description: "projected token with the broker's audience", form: 'a file', default: tokenFile }),
  identityDetachDelay: number({ description: 'time that an unused identity stays attached', unit: 'seconds', default: 300 }),
  collectQuiet: number({ description: 'a scope waits for so long without a change before it writes', unit: 'milliseconds', default: 300 }),
  collectMax: number({ description: 'a scope waits at most for so long after the first change', unit: 'milliseconds', default: 1000 }),
  identityAssignmentReconcileInterval: number({
    description: 'time between two comparisons of a scope with Azure',
    unit: 'seconds',
    default: 180,
    min: 0.1,
    integer: false,
  }),

  cloud: text({
    description:
      'AzurePublicCloud, AzureUSGovernmentCloud, AzureChinaCloud, or AzureStackCloud; empty: what azure.json says, else the public one',
    default: '',
  }),
  cloudConfig: text({ description: 'azure.json of the node; settings below win over it', form: 'a file', default: '' }),
  azureEnvironmentFilepath: text({ description: 'JSON that describes the cloud AzureStackCloud', form: 'a file', default: '' }),
  armEndpoint: text({ description: 'Resource Manager of another cloud', form: 'https URL', pattern: /^https:\/\/[^/]+\/?$/, default: '' }),
  entraEndpoint,
  imdsEndpoint: text({
    description: 'where managed identities sign in',
    form: 'http URL',
    pattern: /^http:\/\/[^/]+\/?$/,
    default: 'http://169.254.169.254',
  }),
  azureCaFile: text({ description: 'more CAs to trust for Azure endpoints, PEM', form: 'a file', default: '' }),
  armApiVersion: text({
    description: "api-version for compute; empty is the SDK's",
    form: 'YYYY-MM-DD',
    pattern: /^\d{4}-\d{2}-\d{2}$/,
    default: '',
  }),
  scopeWriteBurst: number({
    description: 'writes to one scale set or VM at once after a quiet time; Azure allows 12',
    default: azureLimits.burst,
    min: 1,
  }),
  scopeWritesPerMinute: number({
    description: 'writes to one scale set or VM after the burst; Azure allows 4',
    default: azureLimits.perMinute,
    min: 1,
  }),
  armPollInterval: number({
    description: 'first pause between two polls of a long-running operation',
    unit: 'milliseconds',
    default: 2000,
    min: 50,
  }),

  tenantId: text({ description: "tenant of the controller's own sign-in", default: '' }),
  clientId: text({ description: "application of the controller's own sign-in", default: '' }),
  clientSecretFile: text({ description: 'file with the secret of that application', form: 'a file', default: '' }),
  clientCertificateFile: text({
    description: 'PEM or PKCS#12 file with the certificate and key of that application',
    form: 'a file',
    default: '',
  }),
  clientCertificatePasswordFile: text({ description: 'file with the password of the PKCS#12 file', form: 'a file', default: '' }),
  federatedTokenFile: text({ description: 'projected token for workload identity', form: 'a file', default: '' }),
  useMsi: boolean({ description: 'sign in with the managed identity of the node', default: false }),
  userAssignedMsiClientId: text({ description: 'client id of that identity; empty is the system-assigned one', default: '' }),
} as const;

export type ControllerSettings = Values<typeof settings>;

/** Throws {@link SettingsError} for times with which two replicas could lead at once, or a leader could not renew in time. */
export function checkLeaseTimes(values: Pick<ControllerSettings, 'leaseDuration' | 'leaseRenew' | 'leaseRetry'>): void {
  for (const [less, more] of [
    ['leaseRenew', 'leaseDuration'],
    ['leaseRetry', 'leaseRenew'],
  ] as const)
    if (values[less] >= values[more])
      throw new SettingsError(`${flagOf(less)} is ${values[less]}: accepted is less than ${flagOf(more)}, which is ${values[more]}`);
}
