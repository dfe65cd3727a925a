// Command lines of the node and of the Azure emulator, as data. Files are those that inside.ts writes.
import path from 'node:path';
import { azure, nodeAddress, nodeName } from './node-config.ts';
import type { Command } from './processes.ts';

export function containerd(): Command {
  return { name: 'containerd', file: 'containerd', args: ['--config', 'containerd.toml'] };
}

export function kubelet(file: string, folder: string, kubeconfig: string): Command {
  const args = [
    `--config=${path.join(folder, 'kubelet.json')}`,
    `--kubeconfig=${kubeconfig}`,
    `--root-dir=${path.join(folder, 'kubelet')}`,
    `--cert-dir=${path.join(folder, 'kubelet-certificates')}`,
    `--hostname-override=${nodeName}`,
    `--node-ip=${nodeAddress}`,
  ];
  return { name: 'kubelet', file, args };
}

export function kubeProxy(file: string, folder: string): Command {
  return { name: 'kube-proxy', file, args: [`--config=${path.join(folder, 'kube-proxy.json')}`] };
}

/** `issuerCaFile`: by which the API server serves the keys of its tokens. */
export function azureEmulator(caFile: string, issuerCaFile: string, stateFile: string | null): Command {
  const main = path.resolve(import.meta.dirname, '../azure/main.ts');
  const listen = Object.entries(azure).flatMap(([service, address]) => [`--${service}`, address]);
  const state = stateFile === null ? [] : ['--state', stateFile];
  const certificates = ['--ca-file', caFile, '--issuer-ca', issuerCaFile];
  return { name: 'azure', file: process.execPath, args: [main, ...listen, '--paths', 'strict', ...certificates, ...state] };
}
