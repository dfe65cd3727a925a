// The iptables tools that test/netns needs. On Debian and Ubuntu they are installed, with a message.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const tools = ['iptables-nft', 'iptables-legacy', 'nft'];
const found = () =>
  tools.every((tool) => ['/usr/sbin', '/sbin', '/usr/local/sbin'].some((directory) => existsSync(`${directory}/${tool}`)));

/** Undefined when the tests can run, else why not. */
export function missing(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces need Linux';
  if (process.getuid?.() !== 0) return 'network namespaces and iptables need root';
  for (const tool of ['unshare', 'nsenter', 'setpriv', 'ip', 'perl']) {
    if (
      spawnSync(tool, ['--version'], { stdio: 'ignore' }).error !== undefined &&
      spawnSync(tool, ['-V'], { stdio: 'ignore' }).error !== undefined
    ) {
      return `the program ${tool} is missing (packages util-linux, iproute2 and perl-base)`;
    }
  }
  if (found()) return undefined;
  console.error(
    'installing the Debian packages iptables and nftables (apt-get install --no-remove --no-install-recommends): these tests load real rules',
  );
  const installed = spawnSync('apt-get', ['install', '-y', '--no-remove', '--no-install-recommends', 'iptables', 'nftables'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  return found()
    ? undefined
    : `iptables-nft, iptables-legacy or nft is missing and could not be installed: ${String(installed.stderr ?? installed.error?.message ?? '').trim()}`;
}
