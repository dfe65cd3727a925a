// How many tokens one broker gives from its cache for each second of its CPU.
import { Agent, request } from 'undici';
import { tokenPath } from '../../../api/broker.ts';
import { names, spread } from '../controller/cluster.ts';
import { secondsOf } from '../processor-time.ts';
import { median, row } from '../table.ts';
import type { Federation } from './cluster.ts';
import { identityName } from './cluster.ts';
import { resource } from './resource.ts';

export interface Mints {
  /** Pods of the burst, and over how many identities it spread them. */
  pods: number;
  identities: number;
  /** Tokens for each pod: the broker gives one 30 at once, and has given each its first. */
  each: number;
}

const addresses = 8;

export async function mintsFromCache(federation: Federation, { pods, identities, each }: Mints): Promise<void> {
  const { sidecars, programs } = federation;
  const { port, ca, servername } = sidecars.connection;
  const agents = Array.from(
    { length: addresses },
    (_, n) => new Agent({ connections: 6, connect: { ca, servername, localAddress: `127.0.1.${n + 1}` } }),
  );
  const asking = await Promise.all(
    names(pods, 'burst').map(async (pod, index) => ({
      token: await sidecars.tokenOf(pod),
      identity: identityName(index % identities),
      dispatcher: agents[index % addresses],
    })),
  );
  const times: number[] = [];
  async function ask({ token, identity, dispatcher }: (typeof asking)[number]): Promise<void> {
    const began = performance.now();
    const { statusCode, body } = await request(`https://127.0.0.1:${port}${tokenPath}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ identity: `default/${identity}`, resource }),
      ...(dispatcher === undefined ? {} : { dispatcher }),
    });
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`the broker answers ${statusCode} ${text}`);
    times.push(performance.now() - began);
  }
  // The first request of each verifies its service account token.
  await spread(asking, 48, ask);
  times.length = 0;
  const [cpuBefore, began] = [secondsOf(programs.broker), performance.now()];
  for (let count = 1; count < each; count += 1) await spread(asking, 48, ask);
  const [cpu, seconds] = [secondsOf(programs.broker) - cpuBefore, (performance.now() - began) / 1000];
  await Promise.all(agents.map((agent) => agent.close()));
  row('tokens from the cache of the broker for a second of its CPU', times.length / cpu, '', { atLeast: 1000 });
  row('  a second, with this client beside it', times.length / seconds, '');
  row('  p50 on 48 connections', median(times), 'ms');
}
