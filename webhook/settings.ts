import { brokerServiceName, ports, webhookCertificateSecretName, webhookConfigurationName } from '../api/names.ts';
import { logLevels } from '../common/log-levels.ts';
import { metricsPort } from '../lib/identities/decision/annotations.ts';
import { labelSelectorSetting } from '../lib/identities/label-selector-setting.ts';
import { parseQuantity } from '../lib/kube/quantity.ts';
import type { Setting, Values } from '../lib/settings.ts';
import { boolean, choice, list, number, text } from '../lib/settings.ts';
import { certificateMode, certificateSecret, kubeconfig, logFormat, logLevel, sidecarSettingsHash } from '../lib/shared-settings.ts';

const quantity = (description: string, fallback: string): Setting<string> => ({
  description,
  form: `a quantity such as 20m or 64Mi${fallback === '' ? ', empty for none' : ''}`,
  fallback,
  parse: (value) => ((parseQuantity(value) ?? 0) > 0 ? value : undefined),
});

/** With one of these, whoever creates a pod could have our containers run other code. Bun reads a configuration below HOME and XDG_CONFIG_HOME. */
const changesProgram = (name: string): boolean =>
  /^((PATH|HOME|TMPDIR)$|XDG_|LD_|GLIBC_|GCONV_|MALLOC_|BUN_|JSC_|NODE_|SSL_|XTABLES_|IPTABLES_|AAD_POD_IDENTITY_)/i.test(name);

export const settings = {
  kubeconfig,
  namespace: text({ description: 'release namespace, which holds the certificates and the broker', default: 'default' }),
  logLevel,
  logFormat,
  clientQps: number({ description: 'calls a second to the API server', default: 100, min: 1 }),

  admissionListen: text({ description: 'admission endpoint (TLS)', form: 'address:port', default: `:${ports.webhook.admission}` }),
  probesListen: text({ description: '/healthz and /readyz', form: 'address:port', default: `:${ports.webhook.probes}` }),
  metricsListen: text({ description: '/metrics', form: 'address:port', default: `:${ports.webhook.metrics}` }),
  brokerService: text({ description: 'Service of the broker that sidecars call', default: brokerServiceName }),
  webhookConfiguration: text({ description: 'MutatingWebhookConfiguration of this webhook', default: webhookConfigurationName }),
  drainDelay: number({ description: 'time between SIGTERM and the end of new connections', unit: 'seconds', default: 10, max: 300 }),

  certificateMode,
  certificateSecret: certificateSecret(webhookCertificateSecretName),

  sidecarImage: text({ description: 'image of the injected containers (required)', form: 'an image reference', default: '' }),
  sidecarSettingsHash,
  sidecarImagePullPolicy: choice(['IfNotPresent', 'Always', 'Never'], {
    description: 'when kubelet pulls the sidecar image',
    default: 'IfNotPresent',
  }),
  sidecarAllowedRewrites: list({
    description: 'what other admission may make of the sidecar image; * stands for characters of one path segment, and case counts',
    form: 'patterns of images with a registry, which has no *, such as mirror.example.com/identity/sidecar:*',
    accepts: (pattern) => /^[\w.-]+(:\d+)?(\/[\w.:@*-]+)+$/.test(pattern),
    default: [],
  }),
  allowedEnv: list({
    description: 'environment variables that other admission may add to the injected containers; the sidecar obeys no proxies',
    form: 'names of variables, none that a program loader, Bun, iptables or the sidecar itself reads',
    accepts: (name) => /^[A-Za-z_]\w*$/.test(name) && !changesProgram(name),
    default: ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'].flatMap((name) => [name, name.toLowerCase()]),
  }),
  nativeSidecar: choice(['auto', 'always', 'never'], {
    description: 'inject the proxy as a native sidecar; auto does so from Kubernetes 1.32 on',
    default: 'auto',
  }),
  hostNetworkPods: choice(['skip', 'deny'], {
    description: 'whether labelled pods with hostNetwork are admitted unchanged or denied',
    default: 'skip',
  }),
  guardNamespaceSelector: labelSelectorSetting(
    'guardNamespaceSelector',
    'guarded namespaces: their pods get their proxy or are kept from IMDS; without it none is guarded',
  ),
  guardHostNetworkPods: choice(['deny', 'warn'], {
    description:
      'whether pods of guarded namespaces that no guard can hold (hostNetwork, hostPID, Windows) are denied or admitted with a warning',
    default: 'deny',
  }),
  blockWireServer: boolean({ description: 'reject the traffic of injected pods to 168.63.129.16 tcp 80 and 32526', default: false }),
  blockInstanceMetadata: boolean({ description: 'answer /metadata/instance in injected pods with 403', default: false }),
  scheduledEventsNamespaces: list({
    description: 'namespaces whose injected pods may approve scheduled events of their node',
    form: 'names of namespaces',
    accepts: (name) => /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name),
    default: [],
  }),
  iptables: choice(['nft', 'legacy'], { description: 'backend of the redirect; legacy also needs NET_RAW', default: 'nft' }),

  proxyLogLevel: choice(logLevels, { description: 'log level of the injected proxy', default: 'info' }),
  proxyMetricsPort: {
    description: 'port on which the injected proxy serves its metrics',
    form: metricsPort.accepts,
    fallback: 0,
    parse: metricsPort.parse,
  } satisfies Setting<number>,
  proxyCpuRequest: quantity('CPU request of the injected proxy', '10m'),
  proxyCpuLimit: quantity('CPU limit of the injected proxy', ''),
  proxyMemoryRequest: quantity('memory request of the injected proxy', '16Mi'),
  proxyMemoryLimit: quantity('memory limit of the injected proxy', '64Mi'),
  initCpuRequest: quantity('CPU request of the injected init container', '10m'),
  initCpuLimit: quantity('CPU limit of the injected init container', ''),
  initMemoryRequest: quantity('memory request of the injected init container', '16Mi'),
  initMemoryLimit: quantity('memory limit of the injected init container', '64Mi'),
} as const;

export type WebhookSettings = Values<typeof settings>;
