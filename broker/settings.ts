import { brokerCertificateSecretName, ports } from '../api/names.ts';
import { identityPolicySetting } from '../lib/identities/policy-setting.ts';
import type { Values } from '../lib/settings.ts';
import { boolean, choice, number, text } from '../lib/settings.ts';
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
} from '../lib/shared-settings.ts';

export const settings = {
  kubeconfig,
  namespace: text({ description: 'release namespace: home of the certificate and the CA bundle', default: 'default' }),
  instance: text({ description: 'name of this replica in Events; empty is the host name', default: '' }),
  logLevel,
  logFormat,
  clientQps: number({ description: 'calls a second to the API server', default: 100, min: 1, integer: false }),
  customUserAgent,

  brokerListen: text({ description: 'API for sidecars (TLS)', form: 'address:port', default: `:${ports.broker.api}` }),
  probesListen: text({ description: '/healthz and /readyz', form: 'address:port', default: `:${ports.broker.probes}` }),
  metricsListen: text({ description: '/metrics', form: 'address:port', default: `:${ports.broker.metrics}` }),
  drainDelay: number({ description: 'time between SIGTERM and the end of new connections', unit: 'seconds', default: 5, max: 300 }),

  certificateMode,
  certificateSecret: certificateSecret(brokerCertificateSecretName),

  operationMode: choice(['standard', 'managed'], {
    description: 'managed: identities are attached by somebody else, so each identity of a pod counts as assigned',
    default: 'standard',
  }),
  forceNamespaced,
  bindingNamespaces,
  identityPolicy: identityPolicySetting,
  runtimeExceptions,
  assignment,
  assignmentOverrides,
  federationAudience,
  nodeEndpointDrivers,
  allowCrossNamespaceSecrets: boolean({
    description: 'let an AzureIdentity name a Secret of another namespace, as in aad-pod-identity',
    default: false,
  }),

  cloud: text({
    description: 'AzurePublicCloud, AzureUSGovernmentCloud, AzureChinaCloud, or any name with --entra-endpoint; empty is the public cloud',
    default: '',
  }),
  entraEndpoint,
  federatedTokenFile: text({
    description: "the broker's own service account token for Entra, which federated identities trust; kubelet renews it",
    form: 'a file',
    default: '',
  }),
  azureCaFile: text({ description: 'more CAs to trust for Entra, PEM', form: 'a file', default: '' }),
} as const;

export type BrokerSettings = Values<typeof settings>;
