// `init`: redirects this pod's own IMDS traffic to the proxy and proves it, or ends with one line that says why not (design 5).
import { imdsAddress, proxyPort } from '../../api/names.ts';
import { Failure } from '../failure.ts';
import type { Log } from '../log.ts';
import type { InitSettings } from '../settings.ts';
import type { Run } from './apply.ts';
import { applyRules } from './apply.ts';
import type { SelfTest } from './selftest.ts';
import { proveRedirect } from './selftest.ts';

export interface InitWorld extends SelfTest {
  run: Run;
  /** Whether the kernel knows a way to this IPv4 address. Sends nothing. */
  hasRoute(address: string): Promise<boolean>;
  /** Legacy tables that are registered in this network namespace, one a line. */
  legacyTables(): Promise<string>;
  log: Log;
}

export async function init(settings: InitSettings, world: InitWorld): Promise<void> {
  if (canonical(settings.podIp) === canonical(settings.hostIp)) {
    throw new Failure(
      `--pod-ip and --host-ip are both ${settings.podIp}: this is the host's network namespace, whose traffic is not ours to redirect`,
    );
  }
  if (!(await world.hasRoute(imdsAddress))) {
    world.log.info('this pod has no IPv4 route to the instance metadata service, so there is nothing to redirect', {
      address: imdsAddress,
    });
    return;
  }
  await applyRules({
    run: world.run,
    backend: settings.iptables,
    blockWireServer: settings.blockWireServer,
    legacyTables: await world.legacyTables(),
  });
  const proof = await proveRedirect(world);
  world.log.info('redirect proven', {
    from: `${imdsAddress}:80`,
    to: `127.0.0.1:${proxyPort}`,
    proof,
    blockWireServer: settings.blockWireServer,
  });
}

/** One spelling for each address, so that different spellings of one IPv6 address are equal. */
function canonical(ip: string): string {
  return new URL(`http://${ip.includes(':') ? `[${ip}]` : ip}`).hostname;
}
