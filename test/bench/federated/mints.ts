// How many tokens one broker gives from its cache for each second of its CPU.
import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { tokenPath } from '../../../api/broker.ts';
import { names } from '../controller/cluster.ts';
import { median, row } from '../table.ts';
import type { Federation } from './cluster.ts';
import { identityName, resource } from './cluster.ts';

const ticksPerSecond = 100;

export async function mintsFromCache(federation: Federation, { pods, seconds }: { pods: number; seconds: number }): Promise<void> {
  const { sidecars, brokerPid } = federation;
  const { port, ca, servername } = sidecars.connection;
  const identity = identityName(0);
  const asking = names(pods, 'mint');
  await Promise.all(asking.map((pod) => federation.firstTokenOf(pod, identity)));
  const tokens = await Promise.all(asking.map((pod) => sidecars.tokenOf(pod)));
  const dispatcher = new Agent({ connections: pods, connect: { ca, servername } });
  const body = JSON.stringify({ identity: `default/${identity}`, resource });
  const times: number[] = [];
  const refused = new Set<number>();
  const before = cpuSeconds(brokerPid);
  const end = performance.now() + seconds * 1000;
  await Promise.all(
    tokens.map(async (token) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      while (performance.now() < end) {
        const began = performance.now();
        const answer = await request(`https://127.0.0.1:${port}${tokenPath}`, { method: 'POST', headers, body, dispatcher });
        await answer.body.dump();
        if (answer.statusCode === 200) times.push(performance.now() - began);
        else refused.add(answer.statusCode);
      }
    }),
  );
  const cpu = cpuSeconds(brokerPid) - before;
  await dispatcher.close();
  row('tokens from the cache of the broker for a second of its CPU', times.length / cpu, '', { atLeast: 1000 });
  row('  a second, with this client beside it', times.length / seconds, '');
  row(`  p50 on ${pods} connections`, median(times), 'ms');
  if (refused.size > 0) console.error(`  some were answered with ${[...refused].join(', ')}`);
}

/** User and system time of a process. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}
