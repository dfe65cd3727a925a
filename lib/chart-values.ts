// The chart value of each setting. Whoever installs by helm knows that name only, so errors have it beside the flag.
import { flagOf, variableOf } from './settings.ts';

/** Settings with the same value for every program. Undefined: the chart decides them. */
const shared: Readonly<Record<string, string | undefined>> = {
  ...sameName(
    'operationMode',
    'forceNamespaced',
    'bindingNamespaces',
    'identityPolicy',
    'runtimeExceptions',
    'assignment',
    'assignmentOverrides',
    'azureScopes',
    'customUserAgent',
    'entraEndpoint',
    'logFormat',
  ),
  federationAudience: 'federation.audience',
  federationManageCredentials: 'federation.manageCredentials',
  nodeEndpointDrivers: 'nodeEndpoint.drivers',
  guardNamespaceSelector: 'guard.namespaceSelector',
  guardHostNetworkPods: 'guard.hostNetworkPods',
  sidecarImage: 'image.sidecar.repository',
  sidecarImagePullPolicy: 'image.sidecar.pullPolicy',
  sidecarAllowedRewrites: 'image.sidecar.allowedRewrites',
  azureCaFile: 'extraCaCertificates',
  certificateMode: 'certificates.mode',
  webhookCertificateSecret: 'certificates.provided.webhookSecret',
  brokerCertificateSecret: 'certificates.provided.brokerSecret',
  caBundle: 'certificates.provided.caBundle',
  cloud: 'adminsecret.cloud',
  tenantId: 'adminsecret.tenantID',
  clientId: 'adminsecret.clientID',
  clientSecretFile: 'adminsecret.clientSecret or adminsecret.existingSecret',
  clientCertificateFile: 'adminsecret.useCertificate',
  clientCertificatePasswordFile: 'adminsecret.useCertificatePassword',
  federatedTokenFile: 'adminsecret.workloadIdentity',
  useMsi: 'adminsecret.useMSI',
  userAssignedMsiClientId: 'adminsecret.userAssignedMSIClientID',
  ...decidedByChart(
    'kubeconfig',
    'namespace',
    'instance',
    'brokerListen',
    'probesListen',
    'metricsListen',
    'admissionListen',
    'brokerService',
    'brokerAddress',
    'brokerTokenFile',
    'webhookService',
    'webhookConfiguration',
    'webhookEntries',
    'sidecarSettingsHash',
    'expectedExceptions',
    'expectedClusterRoles',
    'certificateSecret',
    'certificatesDirectory',
  ),
};

/** The webhook's own settings. All others that it has are about the containers that it injects. */
const ofWebhook: readonly string[] = ['logLevel', 'clientQps', 'drainDelay', 'hostNetworkPods'];

/** The value, or a choice of values, that sets the setting of a program. Undefined where the chart decides it. */
export function chartValueOf(program: string, setting: string): string | undefined {
  if (program === 'broker' && setting === 'federatedTokenFile') return undefined;
  if (Object.hasOwn(shared, setting)) return shared[setting];
  return `${program === 'webhook' && !ofWebhook.includes(setting) ? 'sidecar' : program}.${setting}`;
}

/** The message of an error, with the chart value of each setting that it names as flag or variable. */
export function withChartValues(message: string, program: string, settings: readonly string[]): string {
  const named = settings
    .flatMap((setting) => {
      const value = chartValueOf(program, setting);
      const found = new RegExp(`(?<![\\w-])(?:${flagOf(setting)}|${variableOf(setting)})(?![\\w-])`).exec(message);
      return value === undefined || found === null ? [] : [{ value, spelling: found[0], index: found.index }];
    })
    .sort((one, other) => one.index - other.index);
  if (named.length === 0) return message;
  const list =
    named.length === 1 ? ` ${named[0]?.value}` : `s: ${named.map(({ spelling, value }) => `${spelling} is ${value}`).join(', ')}`;
  return `${message} (chart value${list})`;
}

function sameName(...settings: string[]): Record<string, string> {
  return Object.fromEntries(settings.map((setting) => [setting, setting]));
}

function decidedByChart(...settings: string[]): Record<string, undefined> {
  return Object.fromEntries(settings.map((setting) => [setting, undefined]));
}
