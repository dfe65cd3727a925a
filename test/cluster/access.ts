// Who may sign in to a test cluster, and the kubeconfigs they do it with.
import { randomBytes } from 'node:crypto';

export interface User {
  name: string;
  groups: string[];
  token: string;
}

const newToken = () => randomBytes(16).toString('hex');

export interface Users {
  admin: User;
  controllerManager: User;
  scheduler: User;
  kubeProxy: User;
  kubelet: User;
}

export function makeUsers(nodeName: string): Users {
  return {
    admin: { name: 'admin', groups: ['system:masters'], token: newToken() },
    controllerManager: { name: 'system:kube-controller-manager', groups: [], token: newToken() },
    scheduler: { name: 'system:kube-scheduler', groups: [], token: newToken() },
    kubeProxy: { name: 'system:kube-proxy', groups: ['system:node-proxier'], token: newToken() },
    kubelet: { name: `system:node:${nodeName}`, groups: ['system:nodes'], token: newToken() },
  };
}

/** File of `--token-auth-file`: token, name, uid, groups. */
export function renderTokenFile(users: Users): string {
  return Object.values(users)
    .map((user: User) => `${user.token},${user.name},${user.name},"${user.groups.join(',')}"\n`)
    .join('');
}

/** JSON is YAML, and every reader of kubeconfigs takes it. */
export function renderKubeconfig(server: string, ca: string, user: User): string {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name: user.name, user: { token: user.token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: user.name } }],
    'current-context': 'test',
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}

/** Reads back what {@link renderKubeconfig} made. */
export function parseKubeconfig(text: string): { ca: string; token: string; server: string } {
  const config: { clusters: { cluster: Record<string, string> }[]; users: { user: { token: string } }[] } = JSON.parse(text);
  const cluster = config.clusters[0]?.cluster;
  const ca = Buffer.from(cluster?.['certificate-authority-data'] ?? '', 'base64').toString();
  return { ca, token: config.users[0]?.user.token ?? '', server: cluster?.server ?? '' };
}
