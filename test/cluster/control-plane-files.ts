// Everything the programs of a control plane read, on disk.
import { writeFileSync } from 'node:fs';
import type { Users } from './access.ts';
import { renderKubeconfig, renderTokenFile } from './access.ts';
import type { ClusterCertificates } from './certificates.ts';
import type { ControlPlaneFiles } from './components.ts';

/** `insideUrl` is where the programs find the API server, `outsideUrl` where people do. */
export function writeControlPlaneFiles(
  files: ControlPlaneFiles,
  certificates: ClusterCertificates,
  users: Users,
  insideUrl: string,
  outsideUrl: string,
): void {
  const secret = (file: string, text: string) => writeFileSync(file, text, { mode: 0o600 });
  writeFileSync(files.ca, certificates.ca);
  writeFileSync(files.apiServerCertificate, certificates.apiServer.certificate);
  secret(files.apiServerKey, certificates.apiServer.key);
  secret(files.serviceAccountKey, certificates.serviceAccountKey);
  secret(files.tokens, renderTokenFile(users));
  secret(files.controllerManagerConfig, renderKubeconfig(insideUrl, certificates.ca, users.controllerManager));
  secret(files.schedulerConfig, renderKubeconfig(insideUrl, certificates.ca, users.scheduler));
  secret(files.kubeletConfig, renderKubeconfig(insideUrl, certificates.ca, users.kubelet));
  secret(files.kubeProxyConfig, renderKubeconfig(insideUrl, certificates.ca, users.kubeProxy));
  secret(files.adminConfig, renderKubeconfig(outsideUrl, certificates.ca, users.admin));
}
