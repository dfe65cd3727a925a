// Command lines of the control plane, as data.
import path from 'node:path';
import type { Command } from './processes.ts';

/** Files of one control plane, all in its folder. */
export function controlPlaneFiles(folder: string) {
  const at = (name: string) => path.join(folder, name);
  return {
    ca: at('ca.crt'),
    apiServerCertificate: at('apiserver.crt'),
    apiServerKey: at('apiserver.key'),
    serviceAccountKey: at('service-account.key'),
    tokens: at('tokens.csv'),
    etcdData: at('etcd'),
    controllerManagerConfig: at('controller-manager.kubeconfig'),
    schedulerConfig: at('scheduler.kubeconfig'),
    kubeletConfig: at('kubelet.kubeconfig'),
    kubeProxyConfig: at('kube-proxy.kubeconfig'),
    adminConfig: at('kubeconfig'),
    azureCA: at('azure-ca.crt'),
  };
}
export type ControlPlaneFiles = ReturnType<typeof controlPlaneFiles>;

export const serviceRange = '10.96.0.0/16';
/** Beside the other one in a dual-stack cluster. */
export const serviceRangeIpv6 = 'fd00:10:96::/112';
export const firstServiceAddress = '10.96.0.1';
/**
 * Issuer of service account tokens. It looks like that of a managed cluster, since one that is not public cannot federate; its documents are served by
 * the API server only.
 */
export const issuer = 'https://issuer.example/cluster';

/** Lets whoever asks read the documents of the issuer, as those of a managed cluster are public. */
export const publicIssuerBinding = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRoleBinding',
  metadata: { name: 'public-issuer' },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:service-account-issuer-discovery' },
  subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'system:unauthenticated' }],
};
export const roleBindingsPath = '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings';

const flags = (settings: Record<string, string>) => Object.entries(settings).map(([name, value]) => `--${name}=${value}`);

export function etcd(file: string, files: ControlPlaneFiles, clientUrl: string, peerUrl: string): Command {
  const settings = {
    'data-dir': files.etcdData,
    'listen-client-urls': clientUrl,
    'advertise-client-urls': clientUrl,
    'listen-peer-urls': peerUrl,
    'initial-advertise-peer-urls': peerUrl,
    'initial-cluster': `default=${peerUrl}`,
    // A cluster that lives for minutes needs no disk flush at every write.
    'unsafe-no-fsync': 'true',
    'log-level': 'warn',
  };
  return { name: 'etcd', file, args: flags(settings) };
}

export interface ApiServerAddress {
  bind: string;
  port: number;
  /** What the Service `kubernetes` leads to. */
  advertise: string;
}

export function apiServer(
  file: string,
  files: ControlPlaneFiles,
  etcdUrl: string,
  address: ApiServerAddress,
  extra: Record<string, string>,
): Command {
  const settings = {
    'etcd-servers': etcdUrl,
    'bind-address': address.bind,
    'secure-port': String(address.port),
    'advertise-address': address.advertise,
    'cert-dir': path.dirname(files.ca),
    'tls-cert-file': files.apiServerCertificate,
    'tls-private-key-file': files.apiServerKey,
    'client-ca-file': files.ca,
    'token-auth-file': files.tokens,
    'kubelet-client-certificate': files.apiServerCertificate,
    'kubelet-client-key': files.apiServerKey,
    // The cluster's namespace has no name server.
    'kubelet-preferred-address-types': 'InternalIP',
    'authorization-mode': 'Node,RBAC',
    'allow-privileged': 'true',
    'service-cluster-ip-range': serviceRange,
    'service-account-issuer': issuer,
    'service-account-signing-key-file': files.serviceAccountKey,
    'service-account-key-file': files.serviceAccountKey,
    // It would drain for a minute.
    'shutdown-delay-duration': '0s',
    ...extra,
  };
  return { name: 'kube-apiserver', file, args: flags(settings) };
}

export function controllerManager(file: string, files: ControlPlaneFiles, extra: Record<string, string> = {}): Command {
  const settings = {
    kubeconfig: files.controllerManagerConfig,
    'leader-elect': 'false',
    'secure-port': '0',
    'use-service-account-credentials': 'true',
    'service-account-private-key-file': files.serviceAccountKey,
    'root-ca-file': files.ca,
    // By default it makes a folder on the machine.
    'flex-volume-plugin-dir': path.join(path.dirname(files.ca), 'volume-plugins'),
    // CNI assigns the addresses, so no ranges are allocated.
    'allocate-node-cidrs': 'false',
    // It creates about forty service accounts first, which takes 4 s at the default rate.
    'kube-api-qps': '500',
    'kube-api-burst': '500',
    ...extra,
  };
  return { name: 'kube-controller-manager', file, args: flags(settings) };
}

export function scheduler(file: string, files: ControlPlaneFiles): Command {
  return { name: 'kube-scheduler', file, args: flags({ kubeconfig: files.schedulerConfig, 'leader-elect': 'false', 'secure-port': '0' }) };
}
