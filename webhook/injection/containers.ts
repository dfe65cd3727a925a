// The containers and volumes that are added to a pod. Every default of the API server is spelled out, so that they compare equal when the
// pod passes the webhook a second time. docs/reference/sidecars.md has the facts about native sidecars, docs/adr/0003-native-sidecar-and-start-gate.md
// the order of containers.
import type { Interception, SidecarMode } from '../../api/injection.ts';
import {
  apiTokenDirectory,
  brokerAudience,
  emptyVolumeName,
  initContainerName,
  proxyContainerName,
  proxyId,
  proxyMetricsPortName,
  sidecarCommand,
  tokenDirectory,
  tokenFile,
  tokenVolumeName,
} from '../../api/names.ts';
import type { LogFormat } from '../../common/log-format.ts';
import type { LogLevel } from '../../common/log-levels.ts';
import type { RawObject } from '../../lib/identities/decision/raw-pod.ts';
import type { AllowedChanges } from './found-containers.ts';
import type { Amounts } from './resources.ts';

/** Everything that the injected parts depend on besides the pod. */
export interface Template {
  mode: SidecarMode;
  /** Written into the status of the pod; empty for none. */
  settingsHash: string;
  image: string;
  imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  logFormat: LogFormat;
  broker: {
    /** Its host name is the one in the broker's certificate. */
    url: string;
    /** `address:port` of the Service, undefined while it has none. */
    address: string | undefined;
    /** PEM. */
    ca: string;
  };
  /** `metricsPort`: 0 for none. */
  proxy: Amounts & { logLevel: LogLevel; metricsPort: number };
  init: Amounts;
  blockWireServer: boolean;
  blockInstanceMetadata: boolean;
  allowEventApproval: boolean;
  iptables: 'nft' | 'legacy';
  allowed: AllowedChanges;
}

/** Escapes an argument: kubelet expands `$(NAME)` in it, and reads `$$` as a dollar. */
export function escapeArgument(text: string): string {
  return text.replaceAll('$', '$$$$');
}

const podIp = 'AAD_POD_IDENTITY_POD_IP';
const hostIp = 'AAD_POD_IDENTITY_HOST_IP';
const podUid = 'AAD_POD_IDENTITY_POD_UID';

/** Redirects IMDS to the proxy, or with `denyImds` rejects it. */
export function initContainer(template: Template, resources: RawObject, { denyImds }: { denyImds: boolean }): RawObject {
  const legacy = template.iptables === 'legacy';
  const args = ['init', `--pod-ip=$(${podIp})`, `--host-ip=$(${hostIp})`];
  if (denyImds) args.push('--deny-imds');
  if (template.blockWireServer) args.push('--block-wireserver');
  if (legacy) args.push('--iptables=legacy');
  args.push(...logFormatArgument(template));
  return {
    ...common(initContainerName, template, resources),
    args,
    env: [fromPod(podIp, 'status.podIP'), fromPod(hostIp, 'status.hostIP'), ...(legacy ? [lockFile] : [])],
    securityContext: {
      ...confined,
      capabilities: { add: legacy ? ['NET_ADMIN', 'NET_RAW'] : ['NET_ADMIN'], drop: ['ALL'] },
      runAsUser: 0,
      runAsGroup: 0,
      runAsNonRoot: false,
    },
    volumeMounts: legacy ? [shadowMount, { name: emptyVolumeName, mountPath: lockDirectory }] : [shadowMount],
  };
}

/** Only where it is not the default of the sidecar. */
const logFormatArgument = ({ logFormat }: Template): string[] => (logFormat === 'json' ? [] : [`--log-format=${logFormat}`]);

export interface ProxyOptions {
  interception: Interception;
  logLevel: LogLevel;
  /** 0 for none. */
  metricsPort: number;
}

export function proxyContainer(template: Template, options: ProxyOptions, resources: RawObject): RawObject {
  return {
    ...common(proxyContainerName, template, resources),
    args: proxyArguments(template, options),
    ...(options.metricsPort === 0 ? {} : { ports: [{ name: proxyMetricsPortName, containerPort: options.metricsPort, protocol: 'TCP' }] }),
    ...(options.interception === 'none' ? { env: [fromPod(podUid, 'metadata.uid')] } : {}),
    ...(template.mode === 'native' ? { restartPolicy: 'Always' } : {}),
    // Start gate: the next container starts once the proxy listens. It does not wait for the broker, since a service mesh may hold back all
    // traffic until the containers after this one run: docs/adr/0003-native-sidecar-and-start-gate.md.
    lifecycle: { postStart: { exec: { command: [...sidecarCommand, 'wait'] } } },
    securityContext: {
      ...confined,
      capabilities: { drop: ['ALL'] },
      runAsUser: proxyId,
      runAsGroup: proxyId,
      runAsNonRoot: true,
    },
    volumeMounts: [{ name: tokenVolumeName, mountPath: tokenDirectory, readOnly: true }, shadowMount],
  };
}

function proxyArguments(template: Template, { interception, logLevel, metricsPort }: ProxyOptions): string[] {
  const { broker } = template;
  return [
    'proxy',
    `--mode=${template.mode}`,
    `--broker-url=${escapeArgument(broker.url)}`,
    ...(broker.address === undefined ? [] : [`--broker-address=${escapeArgument(broker.address)}`]),
    `--broker-ca=${escapeArgument(broker.ca)}`,
    `--broker-token-file=${tokenFile}`,
    `--log-level=${logLevel}`,
    ...logFormatArgument(template),
    ...(metricsPort === 0 ? [] : [`--metrics-listen=:${metricsPort}`]),
    ...(template.blockInstanceMetadata ? ['--block-instance-metadata'] : []),
    ...(template.allowEventApproval ? ['--allow-event-approval'] : []),
    ...(interception === 'none' ? [`--identity-header=$(${podUid})`] : []),
  ];
}

export function tokenVolume(): RawObject {
  const token = { audience: brokerAudience, expirationSeconds: 3600, path: tokenFile.slice(tokenDirectory.length + 1) };
  return { name: tokenVolumeName, projected: { defaultMode: 420, sources: [{ serviceAccountToken: token }] } };
}

/**
 * A downwardAPI volume without items is an empty directory too. `kubectl drain` refuses pods with an emptyDir, and older cluster autoscalers keep
 * their nodes. The legacy backend writes its lock file there, and a downwardAPI volume is read-only.
 */
export function emptyVolume({ iptables }: Pick<Template, 'iptables'>): RawObject {
  return iptables === 'legacy'
    ? { name: emptyVolumeName, emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } }
    : { name: emptyVolumeName, downwardAPI: { defaultMode: 420 } };
}

function common(name: string, template: Template, resources: RawObject): RawObject {
  return {
    name,
    image: template.image,
    imagePullPolicy: template.imagePullPolicy,
    command: [...sidecarCommand],
    resources,
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'FallbackToLogsOnError',
  };
}

const confined = {
  allowPrivilegeEscalation: false,
  privileged: false,
  readOnlyRootFilesystem: true,
  seccompProfile: { type: 'RuntimeDefault' },
} as const;

// The legacy backend takes a lock file, by default in /run, which is read-only here.
const lockDirectory = '/tmp';
const lockFile: RawObject = { name: 'XTABLES_LOCKFILE', value: `${lockDirectory}/xtables.lock` };

/** Hides the token for the Kubernetes API, which the ServiceAccount admission plugin mounts into every container that has no such mount. */
const shadowMount: RawObject = { name: emptyVolumeName, mountPath: apiTokenDirectory, readOnly: true };

function fromPod(name: string, fieldPath: string): RawObject {
  return { name, valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath } } };
}
