// `npm run bench -- soak`: private memory of the sidecar over a million cached requests and a hundred thousand polls. Flat is what it should be.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { createServingCertificate } from '../azure/core/certificates.ts';
import { rowOf } from '../integration/sidecar/azure.ts';
import { startFakeBroker } from '../integration/sidecar/fake-broker.ts';
import { memoryOf, onBun, startProxy } from '../integration/sidecar/process.ts';
import { load, startFakeImds } from './sidecar-load.ts';
import { round, row } from './table.ts';

const requests = 1_000_000;
const polls = 100_000;
const samples = 10;

/** Private memory over time, in MiB. */
class Growth {
  readonly #what: string;
  readonly #samples: number[] = [];

  constructor(what: string) {
    this.#what = what;
  }

  async sample(done: number, pid: number): Promise<void> {
    const { privateKiB } = await memoryOf(pid);
    this.#samples.push(privateKiB / 1024);
    console.error(`  ${this.#what.padEnd(16)} ${String(done).padStart(8)}  ${round(privateKiB / 1024)} MiB private`);
  }

  report(done: number): void {
    const [first = Number.NaN] = this.#samples;
    const reference = { what: 'after the first 1 000', value: first };
    row(`private memory after ${done} ${this.#what}`, this.#samples.at(-1) ?? Number.NaN, 'MiB', { reference, atMost: 1.25 });
  }
}

async function soakRequests(): Promise<void> {
  const imds = await startFakeImds();
  const broker = await startFakeBroker();
  broker.set([rowOf('reader')]);
  const proxy = await startProxy({ imds: imds.url, broker });
  await load(proxy.url, 4, 1000);
  const growth = new Growth('cached requests');
  await growth.sample(1000, proxy.pid);
  for (let part = 1; part <= samples; part += 1) {
    await load(proxy.url, 4, requests / samples);
    await growth.sample((part * requests) / samples, proxy.pid);
  }
  growth.report(requests);
  await proxy.stop();
  await broker.stop();
  imds.server.closeAllConnections();
  imds.server.close();
}

/** A fake broker that answers every poll at once: nine times that nothing changed, then with a change. */
async function soakPolls(): Promise<void> {
  const certificate = await createServingCertificate(['localhost']);
  let asked = 0;
  let due = 0;
  let reached = () => {};
  const server = createServer({ cert: certificate.cert, key: certificate.key }, (request, response) => {
    asked += 1;
    if (asked >= due) reached();
    if (asked % 10 !== 1 && request.headers['if-none-match'] !== undefined) return response.writeHead(304).end();
    const body = {
      pod: { name: 'app', namespace: 'team', uid: 'uid-1' },
      excepted: false,
      asOf: String(asked),
      caBundle: certificate.ca,
      identities: [rowOf('reader', { reason: `change ${asked}` })],
    };
    return response.writeHead(200, { 'content-type': 'application/json', etag: `"${asked}"` }).end(JSON.stringify(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const folder = await mkdtemp(path.join(tmpdir(), 'soak-'));
  const outfile = path.join(folder, 'polls.js');
  await build({ entryPoints: [path.join(import.meta.dirname, 'soak-polls.ts')], outfile, bundle: true, platform: 'node', format: 'esm' });
  const [command = '', ...args] = [...onBun, outfile, `https://localhost:${(server.address() as AddressInfo).port}`, certificate.ca];
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'], env: { BUN_JSC_useJIT: '0' } });
  const ended = once(child, 'exit');
  const growth = new Growth('polls');
  for (let part = 0; part <= samples; part += 1) {
    due = Math.max(1000, (part * polls) / samples);
    const there = new Promise<void>((resolve) => {
      reached = resolve;
    });
    if (asked < due) await Promise.race([there, ended.then(() => Promise.reject(new Error('the poller ended')))]);
    await growth.sample(due, child.pid ?? 0);
  }
  growth.report(polls);
  child.kill();
  await ended;
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
}

export async function bench(): Promise<void> {
  await soakRequests();
  await soakPolls();
}
