// The namespaces of a cluster: network, processes, mounts. All of them end with their first process, so the kernel cleans up: when that process ends,
// every program, pod, mount and address of the cluster is gone.
import path from 'node:path';
import { serviceRange } from './components.ts';
import { kernelSettings, nodeAddress } from './node-config.ts';

/** Fixed paths that containerd, kubelet, CNI and runc write to. Temporary empty folders are mounted over them. */
const hidden = ['/run', '/var/lib', '/var/log'];

const wholeProc = '/run/proc';

/** One word for a shell. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Commands that keep a needed folder visible below one that gets hidden: held open, then bound again. */
function hide(folder: string, needed: readonly string[]): string[] {
  const kept = needed.filter((other) => other.startsWith(`${folder}/`)).slice(0, 5);
  return [
    ...kept.map((other, index) => `exec ${index + 4}<${quote(other)}`),
    `mount -t tmpfs -o mode=755 tmpfs ${folder}`,
    ...kept.flatMap((other, index) => [
      `mkdir -p ${quote(other)}`,
      `mount --no-canonicalize --bind /proc/self/fd/${index + 4} ${quote(other)}`,
      `exec ${index + 4}<&-`,
    ]),
  ];
}

export function hideCommands(needed: readonly string[]): string[] {
  return hidden.flatMap((folder) => hide(folder, needed));
}

/**
 * What the first process of the namespaces does. It is a shell, because the first process has to reap all orphans. Its last command runs `program`
 * with the shell's own input, and everything ends with it.
 */
export function renderSetup(folder: string, needed: readonly string[], program: readonly string[]): string {
  return [
    'set -e',
    // A peer group of its own: kubelet wants shared mounts, and the machine must not see them.
    'mount --make-rshared /',
    ...hideCommands(needed),
    ...Object.keys(kernelSettings).map((name) => `mount --bind ${quote(path.join(folder, 'kernel', name))} /proc/sys/${name}`),
    // In a user namespace the kernel lets a container mount /proc only where some /proc without such covers is in sight.
    `mkdir ${wholeProc} && mount -t proc proc ${wholeProc}`,
    'ip link set lo up',
    'ip address add 169.254.169.254/32 dev lo',
    `ip address add ${nodeAddress}/32 dev lo`,
    // The API server calls webhooks by Service address: without any route the kernel refuses before kube-proxy's rules see the packet.
    `ip route add ${serviceRange} dev lo src ${nodeAddress}`,
    'echo 1 >/proc/sys/net/ipv4/ip_forward',
    'exec 3<&0',
    `${program.map(quote).join(' ')} <&3 3<&- &`,
    'wait $!',
  ].join('\n');
}

/** unshare's arguments; unshare itself stays outside, and its end is the end of the first process. */
export function unshareArguments(setup: string): string[] {
  return ['--fork', '--pid', '--mount', '--net', '--mount-proc', '--kill-child=SIGKILL', '--propagation', 'slave', 'sh', '-c', setup];
}
