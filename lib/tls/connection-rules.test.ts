// Over real TLS: clients that pipeline requests or do not read.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { connect } from 'node:tls';
import type { FakeClock } from '../../common/testing/fake-clock.ts';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import { silentLogger } from '../log.ts';
import type { TlsServer } from './server.ts';
import { startTlsServer } from './server.ts';
import { createTestAuthority, fakeServingCertificate } from './testing/certificates.ts';

const servername = 'server.test.svc';
const megabytes = (count: number) => count * 1024 * 1024;
const limits = {
  maxConnections: 20,
  maxConnectionsPerSource: 20,
  quietMs: 1_000,
  maxWaiting: 20,
  maxWaitingPerSource: 20,
  maxBodyBytes: megabytes(10),
  bodyMs: 1_000,
};

describe('a connection to the TLS server', () => {
  let server: TlsServer;
  let clock: FakeClock;
  let ca: string;
  /** Requests for /slow that have started: what answers each. */
  let slow: (() => void)[];
  /** Of the event loop, in which each body was handled. */
  let turns: number[];
  let turn: number;
  let sockets: TLSSocket[];

  beforeEach(async () => {
    const authority = await createTestAuthority();
    ca = authority.certificate;
    clock = createFakeClock();
    [slow, turns, sockets, turn] = [[], [], [], 0];
    server = await startTlsServer({
      listen: { host: '127.0.0.1', port: 0 },
      log: silentLogger,
      certificate: fakeServingCertificate({ keyPair: await authority.issue(servername) }),
      bodyLimit: 100_000,
      limits,
      clock,
      routes(app) {
        app.get('/slow', () => new Promise((resolve) => slow.push(() => resolve('done'))));
        app.get('/large', () => 'x'.repeat(megabytes(32)));
        app.post('/turn', () => String(turns.push(turn)));
      },
      errorResponse: () => ({ status: 500, body: '' }),
      notFound: { status: 404, body: 'nothing here\n' },
    });
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    const stopped = server.stop();
    await clock.advance(10_000);
    await stopped;
  });

  const dial = async (): Promise<TLSSocket> => {
    const socket = connect({ host: '127.0.0.1', port: server.port, ca, servername });
    sockets.push(socket);
    socket.on('error', () => {});
    await once(socket, 'secureConnect');
    return socket;
  };
  /** Also where the server resets the connection. */
  const closed = (socket: TLSSocket) => new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const started = async (count: number) => {
    while (slow.length < count) await new Promise((resolve) => setImmediate(resolve));
  };

  it('has its second request started after the first is answered', async () => {
    const socket = await dial();
    socket.write(get('/slow') + get('/slow'));
    await started(1);
    // Answered over another connection, so the second one has arrived.
    const other = await dial();
    other.write(get('/nothing'));
    await once(other, 'data');
    assert.equal(slow.length, 1);
    slow[0]?.();
    await started(2);
    slow[1]?.();
    let text = '';
    for await (const chunk of socket.setEncoding('utf8')) {
      text += chunk;
      if (text.match(/done/g)?.length === 2) break;
    }
  });

  it('is closed at a third request before the first is answered', async () => {
    const socket = await dial();
    socket.write(get('/slow').repeat(1000));
    await closed(socket);
    assert.ok(slow.length <= 1);
    const other = await dial();
    other.write(get('/nothing'));
    assert.match(String(await once(other, 'data')), / 404 /);
  });

  it('is closed when its client has not read a response for 10 s', async () => {
    const socket = await dial();
    socket.pause();
    socket.write(get('/large'));
    await once(socket, 'readable');
    await clock.advance(10_000);
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    await closed(socket);
    assert.ok(bytes < megabytes(32), String(bytes));
  });

  it('has a large body handled in a turn of the event loop of its own', async (t) => {
    const count = () => {
      turn += 1;
      next = setImmediate(count);
    };
    let next = setImmediate(count);
    t.after(() => clearImmediate(next));
    const clients = await Promise.all(Array.from({ length: 10 }, dial));
    const body = JSON.stringify('x'.repeat(17 * 1024));
    for (const client of clients)
      client.write(`POST /turn HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await Promise.all(clients.map((client) => once(client, 'data')));
    assert.equal(new Set(turns).size, 10);
  });
});
