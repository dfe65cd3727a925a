// kube-router as the enforcer of network policies in the one-node cluster, which has none of its own.
import { mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { findKubeRouter } from './binaries.ts';
import type { Log } from './cache.ts';
import type { Cluster } from './cluster.ts';
import { controlPlaneFiles } from './components.ts';
import { debianPackages } from './debian.ts';
import { apiPort } from './node-config.ts';

/** Runs on the node, in the background, and ends with the cluster. Returns the file of its log. */
export async function startKubeRouter(cluster: Cluster, log: Log): Promise<string> {
  const program = await findKubeRouter(log);
  const { root, env } = await debianPackages('policies', log);
  const tools = path.join(cluster.folder, 'tools');
  mkdirSync(tools);
  for (const name of ['iptables', 'iptables-save', 'iptables-restore'])
    symlinkSync(path.join(root, 'usr/sbin/xtables-nft-multi'), path.join(tools, name));
  const flags = [
    '--run-firewall=true',
    '--run-router=false',
    '--run-service-proxy=false',
    '--run-loadbalancer=false',
    `--master=https://127.0.0.1:${apiPort}`,
    `--kubeconfig=${controlPlaneFiles(cluster.folder).adminConfig}`,
    `--hostname-override=${cluster.nodeName}`,
    '--health-port=0',
    '--metrics-port=0',
  ];
  const output = path.join(cluster.folder, 'logs', 'kube-router.log');
  const { code, stderr } = await cluster.enter('sh', ['-c', `"$@" >'${output}' 2>&1 &`, 'sh', program, ...flags], {
    env: {
      PATH: `${tools}:${env.PATH}`,
      LD_LIBRARY_PATH: env.LD_LIBRARY_PATH,
      XTABLES_LIBDIR: path.join(env.LD_LIBRARY_PATH.split(':')[0] ?? '', 'xtables'),
    },
  });
  if (code !== 0) throw new Error(`kube-router could not be started: ${stderr}`);
  return output;
}
