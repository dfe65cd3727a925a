// `init`: redirects the IMDS traffic of this pod to the proxy and verifies that it arrives there, or ends with one line that says why not
// (docs/adr/0001-per-pod-interception.md). With --deny-imds it rejects that traffic and verifies that (docs/adr/0027-guard.md).
import { imdsAddress, proxyPort } from '../../api/names.ts';
import { CommandError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { InitSettings } from '../settings.ts';
import type { Run } from './apply.ts';
import { applyRules, countRejected } from './apply.ts';
import type { DenialProbe } from './verify-denial.ts';
import { verifyDenial } from './verify-denial.ts';
import type { Probe } from './verify-redirect.ts';
import { verifyRedirect } from './verify-redirect.ts';

export interface InitDependencies extends Probe, DenialProbe {
  run: Run;
  /** Whether the kernel has a route to this IPv4 address. Sends nothing. */
  hasRoute(address: string): Promise<boolean>;
  /** Legacy iptables tables of this network namespace, one a line. */
  legacyTables(): Promise<string>;
  log: Log;
}

/** Throws {@link CommandError}. */
export async function init(settings: InitSettings, dependencies: InitDependencies): Promise<void> {
  const { log, run } = dependencies;
  if (canonical(settings.podIp) === canonical(settings.hostIp)) {
    throw new CommandError(
      'host_network',
      `--pod-ip and --host-ip are both ${settings.podIp}: this is the host's network namespace, whose traffic is not ours to change`,
    );
  }
  if (!(await dependencies.hasRoute(imdsAddress))) {
    log.info('this pod has no IPv4 route to the instance metadata service, so there is nothing to intercept', { address: imdsAddress });
    return;
  }
  const { denyImds, blockWireServer, iptables: backend } = settings;
  const legacyTables = await dependencies.legacyTables();
  const { untracked } = await applyRules({ run, backend, denyImds, blockWireServer, legacyTables });
  if (denyImds) {
    await verifyDenial({ connect: dependencies.connect, rejected: () => countRejected(run, backend) });
    log.info('denial verified', { to: `${imdsAddress}:80`, blockWireServer });
    return;
  }
  const listener = await verifyRedirect(dependencies);
  log.info('redirect verified', { from: `${imdsAddress}:80`, to: `127.0.0.1:${proxyPort}`, listener, untracked, blockWireServer });
}

/** One spelling for each address: an IPv6 address has many. */
function canonical(ip: string): string {
  return new URL(`http://${ip.includes(':') ? `[${ip}]` : ip}`).hostname;
}
