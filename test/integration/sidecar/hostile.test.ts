// Hostile requests on the wire. IMDS is a fake that records every request target: none may contain text of the client.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { rowOf } from './azure.ts';
import type { FakeBroker } from './fake-broker.ts';
import { startFakeBroker } from './fake-broker.ts';
import type { RunningProxy } from './process.ts';
import { memoryOf, startProxy, unreachableProxies } from './process.ts';

const tokenPath = '/metadata/identity/oauth2/token';
const good = `GET ${tokenPath}?resource=r HTTP/1.1\r\nHost: 169.254.169.254\r\nMetadata: true\r\n`;

describe('hostile clients', () => {
  let imds: Server;
  let broker: FakeBroker;
  let proxy: RunningProxy;
  let port: number;
  const targets: string[] = [];
  const smuggled: string[] = [];

  before(async () => {
    imds = createServer((request, response) => {
      targets.push(request.url ?? '');
      for (const name of Object.keys(request.headers))
        if (!/^(host|connection|metadata|accept|accept-encoding|user-agent)$/.test(name)) smuggled.push(name);
      const now = Math.floor(Date.now() / 1000);
      response.writeHead(200, { 'content-type': 'application/json', server: 'IMDS/1' });
      response.end(
        JSON.stringify({
          access_token: 'x'.repeat(1500),
          client_id: rowOf('reader').clientID,
          expires_in: '86400',
          expires_on: String(now + 86_400),
        }),
      );
    });
    imds.listen(0, '127.0.0.1');
    await once(imds, 'listening');
    broker = await startFakeBroker();
    broker.set([rowOf('reader')]);
    const imdsPort = (imds.address() as AddressInfo).port;
    proxy = await startProxy({
      imds: `http://127.0.0.1:${imdsPort}`,
      broker,
      env: unreachableProxies,
    });
    port = Number(new URL(proxy.url).port);
    await proxy.logged((line) => line.msg === 'identities of this pod');
  });
  after(async () => {
    assert.equal(await proxy.stop(), 0);
    await broker.stop();
    imds.closeAllConnections();
    imds.close();
  });

  const open = async (): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return socket;
  };
  /** The output of the proxy for these bytes, until it closes the connection or has sent this many responses. */
  const exchange = async (bytes: string, answers = 1): Promise<string> => {
    const socket = await open();
    let received = '';
    const done = new Promise<void>((resolve) => {
      socket.on('data', (chunk) => {
        received += String(chunk);
        if ((received.match(/HTTP\/1\.[01] \d{3}/g)?.length ?? 0) >= answers) resolve();
      });
      socket.on('close', () => resolve());
      socket.on('error', () => resolve());
    });
    socket.write(bytes);
    await done;
    socket.destroy();
    return received;
  };
  const statusOf = async (bytes: string) => Number(/^HTTP\/1\.[01] (\d{3})/.exec(await exchange(bytes))?.[1] ?? 0);
  const served = async () => {
    const answer = await fetch(`${proxy.url}${tokenPath}?resource=r`, { headers: { Metadata: 'true' } });
    assert.equal(answer.status, 200);
    await answer.text();
  };

  it('reaches IMDS and the broker directly in a pod with proxy variables', served);

  it('serves the paths of its route table only, however a path is spelled', async () => {
    const raw = (target: string, method = 'GET', host = '169.254.169.254') =>
      `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\nMetadata: true\r\n\r\n`;
    const expected: [string, number[]][] = [
      [raw(`${tokenPath}/?resource=r`), [200]],
      [raw(`//metadata//identity/oauth2/token?resource=r`), [200]],
      [raw(`/x/../metadata/identity/%2e%2e/identity/oauth2/token?resource=r`), [200]],
      [raw(`http://169.254.169.254${tokenPath}?resource=r`), [200]],
      [raw(`//evil.example${tokenPath}?resource=r`), [404]],
      [raw(`http://evil.example/`), [400, 404]],
      [raw(`${tokenPath}?resource=r`, 'GET', 'evil.example'), [400]],
      [raw('/metadata/identity%2foauth2/token?resource=r'), [400]],
      [raw('/metadata/instance/..%5c..%5cidentity'), [400]],
      [raw('/metadata/instance/%2e%2e/identity/oauth2/token?resource=r&client_id='), [200]],
      [raw('/metadata/identity/oauth2/token;x=1?resource=r'), [404]],
      [raw('/metadata/identity/oauth2/token%3fresource=r'), [404]],
      [raw('/metadata/identity/oauth2/token%00?resource=r'), [404, 400]],
      [raw('/metadata/identity/issuecredential?cred-api-version=2.0', 'POST'), [404]],
      [raw(`${tokenPath}?resource=r`, 'POST'), [405]],
      [raw(`${tokenPath}?resource=r`, 'OPTIONS'), [405]],
      [raw(`${tokenPath}?resource=r`, 'TRACE'), [405, 400, 0]],
      [raw('169.254.169.254:80', 'CONNECT'), [400]],
      [raw(`${tokenPath}?resource=r`, 'BREW'), [405, 400, 0]],
      [`GET ${tokenPath}?resource=r HTTP/1.1\r\nMetadata: true\r\n\r\n`, [400]],
      [`GET ${tokenPath}?resource=r HTTP/1.0\r\nHost: 169.254.169.254\r\nMetadata: true\r\n\r\n`, [200]],
      [`${good}Metadata: false\r\n\r\n`, [400]],
      [`${good}X-Forwarded-For: 1.2.3.4\r\n\r\n`, [400]],
      [`${good}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`, [400]],
      [`${good}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: eA==\r\n\r\n`, [200, 400]],
      [`${good}X-Large: ${'a'.repeat(100_000)}\r\n\r\n`, [431, 0]],
      ['\x16\x03\x01\x02\x00garbage\r\n\r\n', [400, 0]],
    ];
    for (const [bytes, statuses] of expected) {
      const status = await statusOf(bytes);
      assert.ok(statuses.includes(status), `${JSON.stringify(bytes.slice(0, 120))} -> ${status}`);
    }
    for (const target of targets)
      assert.match(target, /^\/metadata\/identity\/oauth2\/token\?api-version=2018-02-01&resource=r&msi_res_id=%2Fsubscriptions%2F[^&]*$/);
    assert.deepEqual(smuggled, []);
  });

  it('refuses every Host but one address in its usual form, or localhost', async () => {
    const head = (hosts: readonly string[], target = `${tokenPath}?resource=r`, version = '1.1') =>
      `GET ${target} HTTP/${version}\r\n${hosts.map((host) => `Host: ${host}\r\n`).join('')}Metadata: true\r\n\r\n`;
    const own = '169.254.169.254';
    const absolute = (authority: string) => `http://${authority}${tokenPath}?resource=r`;
    const expected: [string, number][] = [
      [head([`${own}:80`]), 200],
      [head(['LOCALHOST:2579']), 200],
      [head(['[::1]:2579']), 200],
      [head([own, 'evil.example']), 400],
      [head(['evil.example', own]), 400],
      [head([own, own]), 400],
      [head([`${own}, evil.example`]), 400],
      [head(['2852039166']), 400],
      [head(['0xa9fea9fe']), 400],
      [head(['0xa9.0xfe.0xa9.0xfe']), 400],
      [head(['0251.0376.0251.0376']), 400],
      [head(['169.254.43518']), 400],
      [head([`${own}.`]), 400],
      [head([`evil.example@${own}`]), 400],
      [head([`${own}${tokenPath}?resource=r&x=`], '/nonce'), 400],
      // A client that talks to a proxy sends the authority of the target as Host (RFC 9112, section 3.2.2).
      [head([own], absolute(own)), 200],
      [head(['evil.example'], absolute('evil.example')), 400],
      [head(['evil.example'], absolute(own)), 400],
      [head(['2852039166'], absolute('2852039166')), 400],
      [head([], absolute(own)), 400],
      [head([], undefined, '1.0'), 400],
      [head([''], undefined, '1.0'), 400],
      [head(['evil.example'], undefined, '1.0'), 400],
      // Bun keeps nothing of the authority in a target (docs/reference/bun.md).
      [head([own], absolute('evil.example')), 200],
    ];
    for (const [bytes, status] of expected) assert.equal(await statusOf(bytes), status, JSON.stringify(bytes.slice(0, 120)));
  });

  it('says what is wrong with a Host that makes no URL', async () => {
    const head = (version: string, hosts: readonly string[]) =>
      `GET ${tokenPath}?resource=r HTTP/${version}\r\n${hosts.map((host) => `Host: ${host}\r\n`).join('')}Metadata: true\r\n\r\n`;
    for (const bytes of [head('1.0', []), head('1.0', ['']), head('1.1', [''])])
      assert.match(await exchange(bytes), /^HTTP\/1\.1 400 [\s\S]*the request has no Host header/, JSON.stringify(bytes));
    for (const bytes of [head('1.1', ['a b']), head('1.0', ['evil.example@169.254.169.254'])])
      assert.match(await exchange(bytes), /^HTTP\/1\.1 400 [\s\S]*the Host header is not accepted/, JSON.stringify(bytes));
    assert.match(
      await exchange('CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n'),
      /the request target is not a path/,
    );
  });

  it('sends IMDS at most 5 documents a second, and tokens before them', async () => {
    const sockets = await Promise.all(Array.from({ length: 200 }, open));
    const began = performance.now();
    const document = 'GET /metadata/instance?api-version=2021-02-01 HTTP/1.1\r\nHost: 169.254.169.254\r\nMetadata: true\r\n\r\n';
    const first = targets.length;
    const statuses = Promise.all(
      sockets.map(async (socket) => {
        socket.write(document);
        const [chunk] = await once(socket, 'data');
        return Number(String(chunk).slice(9, 12));
      }),
    );
    const fresh = await fetch(`${proxy.url}${tokenPath}?resource=another`, { headers: { Metadata: 'true' } });
    assert.equal(fresh.status, 200);
    assert.ok(targets.length - first < 20, 'the token did not wait for the documents');
    const refused = (await statuses).filter((status) => status === 429).length;
    const sent = targets.slice(first).filter((target) => target.startsWith('/metadata/instance')).length;
    assert.equal(sent + refused, 200);
    assert.ok(refused > 100);
    assert.ok(sent <= 6 + ((performance.now() - began) * 5) / 1000, `${sent} documents`);
    for (const socket of sockets) socket.destroy();
  });

  it('answers pipelined requests in order', async () => {
    const received = await exchange(`${good}\r\n${good.replace('Metadata: true', 'X: y')}\r\n${good}\r\n`, 3);
    assert.deepEqual(received.match(/HTTP\/1\.1 \d{3}/g), ['HTTP/1.1 200', 'HTTP/1.1 400', 'HTTP/1.1 200']);
  });

  it('serves others in bounded memory beside a thousand half-sent and unread requests', async () => {
    const before = (await memoryOf(proxy.pid)).privateKiB;
    const sockets: Socket[] = [];
    for (let i = 0; i < 1000; i += 1) {
      const socket = await open();
      socket.on('error', () => {});
      sockets.push(socket);
      if (i % 10 !== 0) socket.write('GET /metadata/identity/oauth2/token?resource=r HTTP/1.1\r\nHost: 169');
      else {
        socket.pause();
        socket.write(`${good}\r\n`.repeat(50));
      }
    }
    await served();
    const during = (await memoryOf(proxy.pid)).privateKiB;
    console.log(`private memory before ${before} KiB, with 1000 hostile connections ${during} KiB`);
    assert.ok(during < 40 * 1024, `${during} KiB`);
    for (const socket of sockets) socket.destroy();
    await served();
  });

  it('serves others in bounded memory beside a thousand waiting requests', async () => {
    broker.set([rowOf('reader'), rowOf('writer', { state: 'Created' })]);
    await proxy.logged((line) => String(line.identities).includes('writer Created'));
    const sockets: Socket[] = [];
    for (let i = 0; i < 1000; i += 1) {
      const socket = await open();
      socket.on('error', () => {});
      socket.write(
        `GET ${tokenPath}?resource=r&client_id=${rowOf('writer').clientID} HTTP/1.1\r\nHost: 169.254.169.254\r\nMetadata: true\r\n\r\n`,
      );
      sockets.push(socket);
    }
    await served();
    const during = (await memoryOf(proxy.pid)).privateKiB;
    console.log(`private memory with 1000 waiting requests ${during} KiB`);
    assert.ok(during < 40 * 1024, `${during} KiB`);
    for (const socket of sockets) socket.destroy();
    await served();
  });
});
