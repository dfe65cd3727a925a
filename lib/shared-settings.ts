// Settings that several programs of the control plane have in common.
import { logLevels } from '../common/log-levels.ts';
import { boolean, choice, list, text } from './settings.ts';

export const kubeconfig = text({
  description: 'kubeconfig file; empty reads KUBECONFIG, then the service account of the pod',
  default: '',
});

export const logLevel = choice(logLevels, { description: 'log records below this level are left out', default: 'info' });

export const customUserAgent = text({
  description: 'added to the user agent towards Kubernetes and Azure',
  form: 'printable ASCII, at most 200 characters',
  pattern: /^[ -~]{0,200}$/,
  default: '',
});

export const forceNamespaced = boolean({ description: 'a pod may only use identities of its own namespace', default: false });

export const bindingNamespaces = list({
  description: 'namespaces whose AzureIdentityBindings count for pods of other namespaces, in order of preference; empty: all namespaces',
  form: 'names of namespaces',
  accepts: (name) => /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name),
  default: [],
});

export const runtimeExceptions = choice(['allow', 'deny'], {
  description: 'whether an AzurePodIdentityException opens IMDS to injected pods that run already, as with aad-pod-identity',
  default: 'allow',
});

export const entraEndpoint = text({
  description: 'Entra of another cloud',
  form: 'https URL',
  pattern: /^https:\/\/[^/]+\/?$/,
  default: '',
});
