// The template of the injected parts, from the settings and from what the webhook watches.
import type { SidecarMode } from '../api/injection.ts';
import { ports } from '../api/names.ts';
import type { Template } from './injection/containers.ts';
import type { WebhookSettings } from './settings.ts';

export interface TemplateInput {
  values: WebhookSettings;
  mode: SidecarMode;
  /** Of the pod. */
  namespace: string;
  /** PEM of the CAs that the sidecars trust. */
  caBundle: string;
  /** ClusterIP of the broker's Service. */
  brokerAddress: string | undefined;
}

export function templateOf({ values, mode, namespace, caBundle, brokerAddress }: TemplateInput): Template {
  const { api: port } = ports.broker;
  return {
    mode,
    settingsHash: values.sidecarSettingsHash,
    image: values.sidecarImage,
    imagePullPolicy: values.sidecarImagePullPolicy,
    logFormat: values.logFormat,
    broker: {
      url: `https://${values.brokerService}.${values.namespace}.svc:${port}`,
      address: brokerAddress === undefined ? undefined : `${brokerAddress.includes(':') ? `[${brokerAddress}]` : brokerAddress}:${port}`,
      ca: caBundle,
    },
    proxy: {
      logLevel: values.proxyLogLevel,
      metricsPort: values.proxyMetricsPort,
      cpuRequest: values.proxyCpuRequest,
      cpuLimit: values.proxyCpuLimit,
      memoryRequest: values.proxyMemoryRequest,
      memoryLimit: values.proxyMemoryLimit,
    },
    init: {
      cpuRequest: values.initCpuRequest,
      cpuLimit: values.initCpuLimit,
      memoryRequest: values.initMemoryRequest,
      memoryLimit: values.initMemoryLimit,
    },
    blockWireServer: values.blockWireServer,
    blockInstanceMetadata: values.blockInstanceMetadata,
    allowEventApproval: values.scheduledEventsNamespaces.includes(namespace),
    iptables: values.iptables,
    allowed: { images: values.sidecarAllowedRewrites, variables: values.allowedEnv },
  };
}
