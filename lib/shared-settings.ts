// Settings that several programs of the control plane have in common.
import { logFormats } from '../common/log-format.ts';
import { logLevels } from '../common/log-levels.ts';
import { boolean, choice, list, text } from './settings.ts';
import { certificateModes } from './tls/certificate-source.ts';

export const kubeconfig = text({
  description: 'kubeconfig file; empty reads KUBECONFIG, then the service account of the pod',
  default: '',
});

export const sidecarSettingsHash = text({
  description: 'hash of the settings of the injected containers; pods that were injected with another one are outdated',
  default: '',
});

export const logLevel = choice(logLevels, { description: 'log records below this level are left out', default: 'info' });

export const certificateMode = choice(certificateModes, {
  description: 'who issues the certificates of webhook and broker: the controller, cert-manager, or whoever keeps their Secrets',
  default: 'self-signed',
});

const secretName = { form: 'name of a Secret of the release namespace', pattern: /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/ };

export const certificateSecret = (fallback: string) =>
  text({ description: 'Secret with tls.crt and tls.key to serve with', ...secretName, default: fallback });
export const logFormat = choice(logFormats, { description: 'how log records are written: JSON, or text for people', default: 'json' });

export const customUserAgent = text({
  description: 'added to the user agent towards Kubernetes and Azure',
  form: 'printable ASCII, at most 200 characters',
  pattern: /^[ -~]{0,200}$/,
  default: '',
});

export const forceNamespaced = boolean({ description: 'a pod may only use identities of its own namespace', default: false });

const namespaces = {
  form: 'names of namespaces',
  accepts: (name: string) => /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name),
};

export const bindingNamespaces = list({
  description: 'namespaces whose AzureIdentityBindings count for pods of other namespaces, in order of preference; empty: all namespaces',
  ...namespaces,
  default: [],
});

export const nodeEndpointDrivers = list({
  description: 'CSI and FlexVolume drivers whose pods the node endpoint serves; empty: there is no node endpoint',
  form: 'names of drivers, such as secrets-store.csi.k8s.io or azure/kv',
  accepts: (name) => /^[\w.-]{1,253}(\/[\w.-]{1,253})?$/.test(name),
  default: [],
});

export const runtimeExceptions = choice(['allow', 'deny'], {
  description: 'whether an AzurePodIdentityException opens IMDS to injected pods that run already, as with aad-pod-identity',
  default: 'allow',
});

export const assignment = choice(['attach', 'federate'], {
  description: 'how identities of type 0 reach pods: attached to scale sets and VMs, or by a federated credential that the broker uses',
  default: 'attach',
});

export const assignmentOverrides = list({
  description: 'namespaces whose AzureIdentities may be annotated to be attached while the setting assignment is federate',
  ...namespaces,
  default: [],
});

export const federationAudience = text({
  description: "audience of federated credentials and of the broker's token for Entra",
  form: 'printable ASCII without blanks, at most 600 characters',
  pattern: /^[!-~]{1,600}$/,
  default: 'api://AzureADTokenExchange',
});

export const entraEndpoint = text({
  description: 'Entra of another cloud',
  form: 'https URL',
  pattern: /^https:\/\/[^/]+\/?$/,
  default: '',
});
