// The parts that are added to a pod (spec/injection.md Appendix A). Every default of the API server is spelled out, so that the same
// parts come back equal when the pod passes the webhook a second time.
import type { Interception, SidecarMode } from '../api/injection.ts';
import {
  apiTokenDirectory,
  brokerAudience,
  emptyVolumeName,
  initContainerName,
  proxyContainerName,
  proxyId,
  sidecarCommand,
  tokenDirectory,
  tokenFile,
  tokenVolumeName,
} from '../api/names.ts';
import type { LogLevel } from '../lib/log.ts';
import type { PodOptions } from './annotations.ts';
import type { RawObject } from './pod.ts';
import type { Amounts } from './resources.ts';

/** Everything the parts depend on besides the pod. */
export interface Template {
  mode: SidecarMode;
  image: string;
  imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  broker: {
    /** Its host name is the one in the broker's certificate. */
    url: string;
    /** `address:port` of the Service, undefined while it has none. */
    address: string | undefined;
    /** PEM. */
    ca: string;
  };
  proxy: Amounts & { logLevel: LogLevel };
  init: Amounts;
  blockWireServer: boolean;
  blockInstanceMetadata: boolean;
  iptables: 'nft' | 'legacy';
}

/** Kubelet expands `$(NAME)` in arguments; `$$` is a plain dollar. */
export function literal(text: string): string {
  return text.replaceAll('$', '$$$$');
}

const podIp = 'AAD_POD_IDENTITY_POD_IP';
const hostIp = 'AAD_POD_IDENTITY_HOST_IP';
const podUid = 'AAD_POD_IDENTITY_POD_UID';

export function initContainer(template: Template, resources: RawObject | undefined): RawObject {
  const legacy = template.iptables === 'legacy';
  const args = ['init', `--pod-ip=$(${podIp})`, `--host-ip=$(${hostIp})`];
  if (template.blockWireServer) args.push('--block-wireserver');
  if (legacy) args.push('--iptables=legacy');
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

export function proxyContainer(
  template: Template,
  interception: Interception,
  options: PodOptions,
  resources: RawObject | undefined,
): RawObject {
  const { broker } = template;
  const args = ['proxy', `--mode=${template.mode}`, `--broker-url=${literal(broker.url)}`];
  if (broker.address !== undefined) args.push(`--broker-address=${literal(broker.address)}`);
  args.push(
    `--broker-ca=${literal(broker.ca)}`,
    `--broker-token-file=${tokenFile}`,
    `--log-level=${options.proxyLogLevel ?? template.proxy.logLevel}`,
  );
  if (template.blockInstanceMetadata) args.push('--block-instance-metadata');
  if (interception === 'none') args.push(`--identity-header=$(${podUid})`);
  return {
    ...common(proxyContainerName, template, resources),
    args,
    ...(interception === 'none' ? { env: [fromPod(podUid, 'metadata.uid')] } : {}),
    ...(template.mode === 'native' ? { restartPolicy: 'Always' } : {}),
    // The next container starts once the proxy listens, whatever the broker does (spec/injection.md 2.6: a mesh may hold all traffic back).
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

export function volumes(): RawObject[] {
  const token = { audience: brokerAudience, expirationSeconds: 3600, path: tokenFile.slice(tokenDirectory.length + 1) };
  return [
    { name: tokenVolumeName, projected: { defaultMode: 420, sources: [{ serviceAccountToken: token }] } },
    { name: emptyVolumeName, emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
  ];
}

function common(name: string, template: Template, resources: RawObject | undefined): RawObject {
  return {
    name,
    image: template.image,
    imagePullPolicy: template.imagePullPolicy,
    command: [...sidecarCommand],
    resources: resources ?? {},
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

// The legacy backend takes a lock, by default in /run, which is read-only here.
const lockDirectory = '/tmp';
const lockFile: RawObject = { name: 'XTABLES_LOCKFILE', value: `${lockDirectory}/xtables.lock` };

const shadowMount: RawObject = { name: emptyVolumeName, mountPath: apiTokenDirectory, readOnly: true };

function fromPod(name: string, fieldPath: string): RawObject {
  return { name, valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath } } };
}
