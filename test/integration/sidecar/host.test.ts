// The node endpoint as a process: the real bundle on the real Bun, with the emulator's IMDS and a fake broker.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Emulator } from '../../azure/emulator.ts';
import { freePort } from '../../harness/free-port.ts';
import { eventually } from '../../harness/wait.ts';
import { clientIds, rowOf, startAzure } from './azure.ts';
import type { FakeBroker } from './fake-broker.ts';
import { startFakeBroker } from './fake-broker.ts';
import type { RunningProxy } from './process.ts';
import { memoryOf, startHostEndpoint } from './process.ts';

/** What the Azure provider of the Secrets Store CSI driver sends, as net/http of Go writes it. */
const providerRequest = (port: number) =>
  [
    'GET /host/token/?resource=https://vault.azure.net HTTP/1.1',
    `Host: localhost:${port}`,
    'User-Agent: Go-http-client/1.1',
    'Podname: app-0',
    'Podns: team',
    'Accept-Encoding: gzip',
    '',
    '',
  ].join('\r\n');

const headers = { podns: 'team', podname: 'app-0' };

const portTaken = 'port is taken, waiting until it is free: does an NMI of aad-pod-identity still run on this node?';

/** The whole response, byte for byte. */
async function sendRaw(host: string, port: number, request: string): Promise<string> {
  const socket = connect(port, host);
  await once(socket, 'connect');
  socket.write(request.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

describe('the node endpoint as a process', () => {
  let azure: Emulator;
  let broker: FakeBroker;
  let endpoint: RunningProxy;
  let port: number;
  const start = async (flags: string[] = []) => startHostEndpoint({ imds: azure.urls.imds, broker, port, flags });
  const ask = (query = 'resource=https://vault.azure.net') => fetch(`${endpoint.url}/host/token/?${query}`, { headers });

  before(async () => {
    azure = await startAzure(['reader']);
    broker = await startFakeBroker();
    broker.host = () => ({ status: 200, body: { identity: rowOf('reader') } });
    port = await freePort();
    endpoint = await start();
  });
  after(async () => {
    await endpoint?.stop();
    await broker?.stop();
    await azure?.stop();
  });

  it('answers the recorded request of the Azure provider, at both loopback addresses', async () => {
    for (const host of ['127.0.0.1', '::1']) {
      const [head = '', body = ''] = (await sendRaw(host, port, providerRequest(port))).split('\r\n\r\n');
      assert.match(head, /^HTTP\/1\.1 200 OK\r\n/);
      assert.match(head, /^content-type: application\/json$/im);
      assert.match(head, new RegExp(`^content-length: ${Buffer.byteLength(body)}$`, 'im'), 'no chunks, which a Java client cannot read');
      assert.match(
        body,
        /^\{"token":\{"access_token":"[^"]+","refresh_token":"","expires_in":"\d+","expires_on":"\d+","not_before":"\d+","resource":"https:\/\/vault\.azure\.net","token_type":"Bearer"\},"clientid":"[^"]+"\}$/,
      );
      assert.equal(JSON.parse(body).clientid, clientIds.reader);
    }
    const { body, token } = broker.requests.at(-1) ?? {};
    assert.match(
      JSON.stringify(body),
      /^\{"namespace":"team","pod":"app-0","resource":"https:\/\/vault\.azure\.net","wait":4\d(,"counts":"[a-z:0-9 ,]+")?\}$/,
    );
    assert.equal(token, 'bound-token');
  });

  it('answers errors byte for byte as NMI', async () => {
    const response = await sendRaw('127.0.0.1', port, `GET /host/token/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.match(response, /^HTTP\/1\.1 400 Bad Request\r\n/);
    assert.match(response, /^content-type: text\/plain; charset=utf-8$/im);
    assert.match(response, /^x-content-type-options: nosniff$/im);
    assert.ok(response.endsWith("\r\n\r\nmissing 'podname' and 'podns' from request header\n"));
    const post = await fetch(`${endpoint.url}/host/token`, { method: 'POST', headers });
    assert.deepEqual([post.status, await post.text()], [400, 'parameter resource cannot be empty\n']);
  });

  it('uses less than 8 MiB of private memory', async (t) => {
    for (let count = 0; count < 200; count += 1) assert.equal((await ask()).status, 200);
    const { privateKiB, pssKiB, rssKiB } = await memoryOf(endpoint.pid);
    t.diagnostic(`private ${privateKiB} KiB, PSS ${pssKiB} KiB, RSS ${rssKiB} KiB`);
    assert.ok(privateKiB < 8 * 1024);
  });

  it('serves in bounded memory beside thousands of idle connections', async (t) => {
    const sockets = Array.from({ length: 3_000 }, () => connect(port, '127.0.0.1').on('error', () => {}));
    t.after(() => sockets.forEach((socket) => void socket.destroy()));
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    for (const socket of sockets.slice(0, 1_500)) socket.write('GET /host/token/?resource=r HTTP/1.1\r\nHost: local');
    assert.equal((await ask()).status, 200);
    const { privateKiB } = await memoryOf(endpoint.pid);
    t.diagnostic(`private ${privateKiB} KiB`);
    assert.ok(privateKiB < 32 * 1024);
  });

  it('takes a port over that another program had', async () => {
    await endpoint.stop();
    const nmi = createServer((socket) => socket.on('error', () => {}).destroy()).listen(port, '127.0.0.1');
    await once(nmi, 'listening');
    endpoint = await startHostEndpoint({ imds: azure.urls.imds, broker, port }, portTaken);
    await assert.rejects(sendRaw('::1', port, providerRequest(port)), /ECONNREFUSED/, 'half of the callers would reach it');
    nmi.close();
    await endpoint.logged((line) => line.msg === 'serving');
    assert.equal((await ask()).status, 200);
  });

  it('ends on a signal while the port is taken', async () => {
    const other = await startHostEndpoint({ imds: azure.urls.imds, broker, port }, portTaken);
    assert.equal(await other.stop(), 0);
  });

  it('answers what waits when it stops, and serves again after it, under load', async () => {
    const statuses: (number | 'refused')[] = [];
    let loading = true;
    const load = Promise.all(
      Array.from({ length: 8 }, async () => {
        while (loading) {
          statuses.push(
            await ask().then(
              ({ status }) => status,
              () => 'refused' as const,
            ),
          );
          await delay(1);
        }
      }),
    );
    await eventually(async () => statuses.filter((status) => status === 200).length > 50, 'a load');
    const held = Promise.withResolvers<void>();
    broker.host = async () => {
      await held.promise;
      return { status: 200, body: { identity: rowOf('reader') } };
    };
    const waiting = ask('resource=https://storage.azure.com');
    await eventually(async () => broker.requests.some(({ body }) => JSON.stringify(body).includes('storage')), 'a request that waits');
    const ended = endpoint.stop();
    assert.equal((await waiting).status, 503);
    assert.equal(await ended, 0);
    held.resolve();
    broker.host = () => ({ status: 200, body: { identity: rowOf('reader') } });
    const before = statuses.length;
    endpoint = await start();
    await eventually(async () => statuses.slice(before).filter((status) => status === 200).length > 50, 'a load after the restart');
    loading = false;
    await load;
    assert.deepEqual(
      statuses.filter((status) => status !== 200 && status !== 503 && status !== 'refused'),
      [],
    );
  });
});
