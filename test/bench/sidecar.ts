// `npm run bench -- sidecar`: memory, start, throughput and a crowd of cold starts of the real bundle on the real Bun. Prints a table, asserts nothing.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { Agent, createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createConnection, createServer as createTcpServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { ManagedIdentityCredential } from '@azure/identity';
import { rowOf, startAzure } from '../integration/sidecar/azure.ts';
import type { FakeBroker } from '../integration/sidecar/fake-broker.ts';
import { startFakeBroker } from '../integration/sidecar/fake-broker.ts';
import type { RunningProxy } from '../integration/sidecar/process.ts';
import { bun, memoryOf, runSidecar, startProxy } from '../integration/sidecar/process.ts';
import type { Options } from './options.ts';
import { ask, load, query, startFakeImds } from './sidecar-load.ts';
import { emptyScriptStart, startBareServer, startOther } from './sidecar-references.ts';
import { median, round, row, textRow } from './table.ts';

const copies = 20;
const sidecarCount = 110;
const requests = 200_000;

const progress = (text: string) => console.error(`  ${text}`);
const mib = (kib: number) => kib / 1024;

async function memory(proxy: RunningProxy): Promise<void> {
  const agent = new Agent({ keepAlive: true });
  for (let i = 0; i < 100; i += 1) await ask(proxy.url, agent);
  agent.destroy();
  const first = await memoryOf(proxy.pid);
  row('private memory after the first token and 100 requests', mib(first.privateKiB), 'MiB', { atMost: 6 });
  textRow('RSS of the same process', `${round(mib(first.rssKiB))} MiB`);
}

/** Cached tokens, beside a bare server with the same answer and, where asked for, another proxy. */
async function throughput(proxy: RunningProxy, imds: string, against: Options['against']): Promise<void> {
  const answer = await fetch(`${proxy.url}${query}`, { headers: { Metadata: 'true' } });
  const bare = await startBareServer({ 'content-type': 'application/json', server: 'IMDS/1' }, await answer.text());
  await load(bare.url, 4, requests / 10);
  await load(proxy.url, 4, requests / 10);
  const single = { bare: await load(bare.url, 1, requests / 10), ours: await load(proxy.url, 1, requests / 10) };
  const reference = (value: number) => ({ what: 'bare Bun.serve', value });
  row('cached token, p50 on 1 connection', single.ours.p50, 'ms', { reference: reference(single.bare.p50), atMost: 1.15 });
  const four = { bare: await load(bare.url, 4, requests), ours: await load(proxy.url, 4, requests) };
  row('cached token on 4 connections', four.ours.perSecond, 'requests/s', { reference: reference(four.bare.perSecond), atLeast: 0.7 });
  await bare.stop();
  if (against.proxy !== undefined) {
    const other = startOther(against.proxy, { port: String(await freePort()), imds });
    while (!(await accepts(Number(new URL(other.url).port)))) await delay(10);
    const theirs = await load(other.url, 4, requests);
    const value = theirs.perSecond;
    row('the same, beside the other proxy', four.ours.perSecond, 'requests/s', { reference: { what: against.proxy, value }, atLeast: 1 });
    const { privateKiB } = await memoryOf(other.pid);
    textRow('private memory of the other proxy then', `${round(mib(privateKiB))} MiB`);
    await other.stop();
  }
  progress('a minute of quiet');
  await delay(60_000);
  row(`private memory a minute after ${requests} requests`, mib((await memoryOf(proxy.pid)).privateKiB), 'MiB', { atMost: 7 });
}

async function manyCopies(imds: string, broker: FakeBroker): Promise<void> {
  const proxies = await Promise.all(Array.from({ length: copies }, () => startProxy({ imds, broker })));
  const agent = new Agent({ keepAlive: true });
  for (const proxy of proxies) await ask(proxy.url, agent);
  const all = await Promise.all(proxies.map((proxy) => memoryOf(proxy.pid)));
  row(`PSS of ${copies} copies, each`, mib(all.reduce((sum, one) => sum + one.pssKiB, 0) / copies), 'MiB', { atMost: 7 });
  row(`private memory of ${copies} copies, each`, mib(all.reduce((sum, one) => sum + one.privateKiB, 0) / copies), 'MiB', { atMost: 6 });
  agent.destroy();
  await Promise.all(proxies.map((proxy) => proxy.stop()));
}

/** Empty scripts of both runtimes, for scale. */
async function emptyScripts(): Promise<void> {
  for (const [name, command, args] of [
    ['empty Bun script', bun, ['--smol', '-e', 'setInterval(() => {}, 1e6)']],
    ['empty Node script', process.execPath, ['-e', 'setInterval(() => {}, 1e6)']],
  ] as const) {
    const child = spawn(command, args, { stdio: 'ignore', env: { BUN_JSC_useJIT: '0' } });
    await delay(1000);
    const { privateKiB, pssKiB, rssKiB } = await memoryOf(child.pid ?? 0);
    textRow(name, `${round(mib(privateKiB))} private, ${round(mib(pssKiB))} PSS, ${round(mib(rssKiB))} RSS MiB`);
    child.kill();
    await once(child, 'exit');
  }
}

async function freePort(): Promise<number> {
  const probe = createTcpServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

async function start(broker: FakeBroker, imds: string): Promise<void> {
  const times: number[] = [];
  const empty: number[] = [];
  for (let i = 0; i < 15; i += 1) {
    empty.push(await emptyScriptStart());
    // The port is chosen here, so that its first acceptance can be watched from outside.
    const port = await freePort();
    const began = performance.now();
    const starting = startProxy({ imds, broker, flags: [`--listen=127.0.0.1:${port}`] });
    while (!(await accepts(port))) await delay(1);
    times.push(performance.now() - began);
    await (await starting).stop();
  }
  const reference = { what: 'empty Bun script', value: median(empty) };
  row('start to listening, median of 15', median(times), 'ms', { reference, atMost: 1.5 });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

/** `init` in a network namespace of its own. */
async function initTime(): Promise<void> {
  if (process.getuid?.() !== 0) return progress('init: skipped, it needs root');
  const script = 'ip link set lo up && ip addr add 169.254.169.254/32 dev lo && exec "$@"';
  const prefix = ['unshare', '--net', 'sh', '-c', script, 'sh'];
  const bare: number[] = [];
  const times: number[] = [];
  for (let i = 0; i < 11; i += 1) {
    for (const [args, list] of [
      [['--version'], bare],
      [['init', '--pod-ip=10.1.0.2', '--host-ip=10.0.0.4'], times],
    ] as const) {
      const began = performance.now();
      const { code, stderr } = await runSidecar(args, { prefix });
      if (code !== 0) return progress(`init: skipped: ${stderr.trim()}`);
      list.push(performance.now() - began);
    }
  }
  const reference = { what: 'an empty command in the same namespace', value: median(bare) };
  row('init, median of 11, start of the process included', median(times), 'ms', { reference });
}

/** A node full of pods that start at once, on one VM with Azure's limits; each is asked by Microsoft's own library, with its retries. */
async function coldStart(broker: FakeBroker): Promise<void> {
  const azure = await startAzure(['reader']);
  azure.addFault({ fault: 'latency', service: 'imds', ms: 30 });
  progress(`cold start: starting ${sidecarCount} sidecars`);
  const proxies: RunningProxy[] = [];
  for (let i = 0; i < sidecarCount; i += 10)
    proxies.push(...(await Promise.all(Array.from({ length: 10 }, () => startProxy({ imds: azure.urls.imds, broker })))));
  const pods = await startPods(proxies);
  // The library has one address and one cache for a process: the resource distinguishes the pods.
  process.env.AZURE_POD_IDENTITY_AUTHORITY_HOST = pods.url;
  const began = performance.now();
  const times = await Promise.all(
    proxies.map(async (_proxy, i) => {
      const credential = new ManagedIdentityCredential({ clientId: rowOf('reader').clientID });
      const token = await credential.getToken(`${podResource}${i}/.default`).catch((error: unknown) => progress(`pod ${i}: ${error}`));
      return token === undefined ? Number.POSITIVE_INFINITY : performance.now() - began;
    }),
  );
  delete process.env.AZURE_POD_IDENTITY_AUTHORITY_HOST;
  const throttled = azure.log.list().filter((entry) => entry.kind === 'request' && entry.status === 429).length;
  row(`cold start: last of ${sidecarCount} cold sidecars on one VM served`, Math.max(...times) / 1000, 's', { atMost: 60 });
  const failed = times.filter((time) => !Number.isFinite(time)).length;
  textRow(
    'cold start: median, final errors to @azure/identity, 429 from IMDS',
    `${round(median(times) / 1000)} s, ${failed}, ${throttled}`,
  );
  pods.server.closeAllConnections();
  pods.server.close();
  await Promise.all(proxies.map((proxy) => proxy.stop()));
  await azure.stop();
}

const podResource = 'https://vault.azure.net/pods/';

/** Stands for the pods' redirects: hands each request to the sidecar that its resource names. */
async function startPods(proxies: readonly RunningProxy[]): Promise<{ url: string; server: Server }> {
  const server = createServer((incoming, outgoing) => {
    const wanted = new URL(incoming.url ?? '/', 'http://pods').searchParams.get('resource') ?? '';
    const { hostname, port } = new URL(proxies[Number(wanted.slice(podResource.length))]?.url ?? 'http://127.0.0.1:1');
    get({ hostname, port, path: incoming.url, headers: incoming.headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    }).on('error', () => outgoing.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

export async function bench({ against }: Pick<Options, 'against'>): Promise<void> {
  const fakeImds = await startFakeImds();
  const broker = await startFakeBroker();
  broker.set([rowOf('reader')]);
  await emptyScripts();
  const proxy = await startProxy({ imds: fakeImds.url, broker });
  await memory(proxy);
  await throughput(proxy, fakeImds.url, against);
  await proxy.stop();
  await manyCopies(fakeImds.url, broker);
  await start(broker, fakeImds.url);
  await initTime();
  await coldStart(broker);
  await broker.stop();
  fakeImds.server.closeAllConnections();
  fakeImds.server.close();
}
