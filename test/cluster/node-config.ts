// Configuration files of the node's programs, as data. All listen inside the cluster's own namespaces, so addresses and paths are fixed.
import path from 'node:path';

export const nodeName = 'node-0';
/** kubelet refuses a loopback address, though this one is on the loopback device. */
export const nodeAddress = '10.200.0.1';
const podRange = '10.244.0.0/24';
export const apiPort = 6443;
export const containerdSocket = '/run/containerd/containerd.sock';
/** Where the emulator listens inside; pods reach ARM and Entra at the node's address. */
export const azure = {
  imds: '169.254.169.254:80',
  arm: `${nodeAddress}:7443`,
  entra: `${nodeAddress}:7444`,
  control: '127.0.0.1:7080',
} as const;
/** The first machine of the first scale set of the emulator's default state. */
export const defaultProviderID =
  'azure:///subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/nodes/providers/Microsoft.Compute/virtualMachineScaleSets/pool1/virtualMachines/0';

export interface ContainerdSettings {
  folder: string;
  snapshotter: 'overlayfs' | 'native';
  sandboxImage: string;
  runc: string;
  cniPrograms: string;
}

/** Of containerd. The first would make /opt/containerd; the others find no file system of theirs. */
export const disabledPlugins = [
  'io.containerd.internal.v1.opt',
  ...['aufs', 'btrfs', 'devmapper', 'zfs'].map((name) => `io.containerd.snapshotter.v1.${name}`),
];

/** A JSON string is a TOML string, a list of them a TOML array. */
export function containerdConfig(settings: ContainerdSettings): string {
  const text = JSON.stringify;
  const at = (name: string) => text(path.join(settings.folder, name));
  return `version = 2
root = ${at('containerd')}
state = "/run/containerd"
disabled_plugins = ${text(disabledPlugins)}
[grpc]
address = ${text(containerdSocket)}
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = ${text(settings.sandboxImage)}
# Without CAP_SYS_RESOURCE a negative value fails with runc's "can't get final child's PID from pipe".
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = ${text(settings.snapshotter)}
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = ${text(settings.runc)}
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = ${text(settings.cniPrograms)}
conf_dir = ${at('cni')}
`;
}

/** Pods get a route to the node and from there to its loopback addresses, as on Azure; nothing is masqueraded. */
export function cniConfig(folder: string): object {
  const ipam = {
    type: 'host-local',
    ranges: [[{ subnet: podRange }]],
    routes: [{ dst: '0.0.0.0/0' }],
    dataDir: path.join(folder, 'cni-addresses'),
  };
  return { cniVersion: '0.4.0', name: 'pods', plugins: [{ type: 'ptp', ipMasq: false, ipam }] };
}

export interface KubeletSettings {
  folder: string;
  cgroup: string;
  clientCA: string;
  providerID: string;
}

export function kubeletConfig({ folder, cgroup, clientCA, providerID }: KubeletSettings): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: { anonymous: { enabled: false }, webhook: { enabled: false }, x509: { clientCAFile: clientCA } },
    authorization: { mode: 'AlwaysAllow' },
    containerRuntimeEndpoint: `unix://${containerdSocket}`,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: cgroup,
    enforceNodeAllocatable: [],
    failCgroupV1: false,
    failSwapOn: false,
    oomScoreAdj: 0,
    providerID,
    // Nothing answers there, but without an address every pod gets a warning Event.
    clusterDNS: ['10.96.0.10'],
    clusterDomain: 'cluster.local',
    resolvConf: path.join(folder, 'resolv.conf'),
    podLogsDir: path.join(folder, 'pod-logs'),
    volumePluginDir: path.join(folder, 'volume-plugins'),
    evictionHard: { 'memory.available': '50Mi', 'nodefs.available': '1%', 'nodefs.inodesFree': '1%', 'imagefs.available': '1%' },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    makeIPTablesUtilChains: false,
    serializeImagePulls: false,
    logging: { verbosity: 1 },
  };
}

export function kubeProxyConfig(kubeconfig: string): object {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'nftables',
    clientConnection: { kubeconfig },
    hostnameOverride: nodeName,
    clusterCIDR: podRange,
    // Zero leaves the machine's own settings alone; most of them are not per namespace.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  };
}

/** Kernel settings of the whole machine that kubelet would change. It reads these files instead, which have the values that it wants. */
export const kernelSettings: Record<string, string> = {
  'vm/overcommit_memory': '1',
  'vm/panic_on_oom': '0',
  'kernel/panic': '10',
  'kernel/panic_on_oops': '1',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/keys/root_maxbytes': '25000000',
};
