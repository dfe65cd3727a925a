// The server over real TLS: certificates that change, connections that grow old, floods, a stop with requests in flight.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { RequestOptions } from 'node:https';
import { Agent, request } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { connect as connectTcp, createServer } from 'node:net';
import { afterEach, before, beforeEach, describe, it } from 'node:test';
import { connect } from 'node:tls';
import type { Clock } from '../../common/clock.ts';
import { systemClock } from '../../common/clock.ts';
import type { FakeClock } from '../../common/testing/fake-clock.ts';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import { hasIpv6 } from '../../common/testing/ipv6.ts';
import { silentLogger } from '../log.ts';
import type { CheckedKeyPair } from './key-pair.ts';
import type { TlsServer, TlsServerOptions } from './server.ts';
import { clientErrorStatus, startTlsServer } from './server.ts';
import type { FakeServingCertificate, TestAuthority } from './testing/certificates.ts';
import { createTestAuthority, fakeServingCertificate } from './testing/certificates.ts';

const servername = 'server.test.svc';
const limits = {
  maxConnections: 8,
  maxConnectionsPerSource: 4,
  quietMs: 1_000,
  maxWaiting: 8,
  maxWaitingPerSource: 4,
  maxBodyBytes: 64 * 1024,
  bodyMs: 1_000,
};

describe('TLS server', () => {
  let ca: TestAuthority;
  let first: CheckedKeyPair;
  let second: CheckedKeyPair;
  let certificate: FakeServingCertificate;
  let server: TlsServer;
  let agent: Agent;
  let ahead: number;
  /** Of the route /slow: resolves when it was called, and what it waits for. */
  let slow: { called: PromiseWithResolvers<void>; done: PromiseWithResolvers<void> };
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + ahead };

  before(async () => {
    ca = await createTestAuthority();
    [first, second] = [await ca.issue(servername), await ca.issue(servername)];
  });
  const start = async (more: Partial<TlsServerOptions> = {}) => {
    server = await startTlsServer({
      listen: { host: '127.0.0.1', port: 0 },
      log: silentLogger,
      certificate,
      bodyLimit: 100,
      limits,
      clock,
      routes(app) {
        app.post('/echo', async (incoming) => incoming.body);
        app.get('/slow', async () => {
          slow.called.resolve();
          await slow.done.promise;
          return 'done';
        });
        app.get('/fail', () => Promise.reject(new Error('inside')));
      },
      errorResponse: (error, path) => ({
        status: clientErrorStatus(error) ?? 500,
        headers: { 'x-path': path ?? '' },
        body: { error: String(error) },
      }),
      notFound: { status: 404, body: 'nothing here\n' },
      ...more,
    });
  };
  beforeEach(async () => {
    ahead = 0;
    slow = { called: Promise.withResolvers<void>(), done: Promise.withResolvers<void>() };
    certificate = fakeServingCertificate({ keyPair: first });
    agent = new Agent({ keepAlive: true, maxSockets: 4, ca: ca.certificate, servername });
    await start();
  });
  afterEach(async () => {
    agent.destroy();
    await server.stop();
  });

  const send = (path: string, options: RequestOptions = {}, body?: string) =>
    new Promise<{ status: number; text: string; headers: Record<string, unknown> }>((resolve, reject) => {
      const outgoing = request({ host: '127.0.0.1', port: server.port, agent, path, ...options }, async (response) => {
        let text = '';
        for await (const chunk of response.setEncoding('utf8')) text += chunk;
        resolve({ status: response.statusCode ?? 0, text, headers: response.headers });
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  const echo = (body: string) => send('/echo', { method: 'POST', headers: { 'content-type': 'application/json' } }, body);
  const dial = (more: object = {}) => connect({ host: '127.0.0.1', port: server.port, ca: ca.certificate, servername, ...more });
  const servedFingerprint = async () => {
    const socket = dial();
    await once(socket, 'secureConnect');
    const { fingerprint256 } = socket.getPeerCertificate();
    socket.destroy();
    return fingerprint256;
  };

  it('serves TLS 1.3 only', async () => {
    await assert.rejects(once(dial({ maxVersion: 'TLSv1.2' }), 'secureConnect'), { code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' });
  });

  it('listens on IPv6 and IPv4 when the listener has no address', async () => {
    await server.stop();
    await start({ listen: { host: '', port: 0 } });
    const hosts = ['127.0.0.1', ...(hasIpv6() ? ['::1'] : [])];
    for (const host of hosts) {
      const socket = dial({ host });
      await once(socket, 'secureConnect');
      socket.destroy();
    }
  });

  it('maps the errors of routes, of fastify and of unknown paths', async () => {
    assert.deepEqual((await echo('[1]')).text, '[1]');
    const failed = await send('/fail');
    assert.deepEqual([failed.status, failed.headers['x-path'], failed.text], [500, '/fail', '{"error":"Error: inside"}']);
    assert.equal((await echo('{')).status, 400);
    assert.equal((await echo(JSON.stringify('x'.repeat(200)))).status, 413);
    assert.equal((await send('/echo', { method: 'POST', headers: { 'content-type': 'text/csv' } }, 'x')).status, 415);
    const unknown = await send('/unknown');
    assert.deepEqual([unknown.status, unknown.text], [404, 'nothing here\n']);
  });

  it('serves new connections with a changed certificate while old ones go on', async () => {
    assert.equal((await echo('1')).status, 200);
    const before = await servedFingerprint();
    certificate.set({ keyPair: second });
    assert.notEqual(await servedFingerprint(), before);
    assert.equal((await echo('1')).status, 200);
  });

  it('keeps its certificate when OpenSSL refuses the new one', async () => {
    const before = await servedFingerprint();
    certificate.set({ keyPair: { ...second, certificate: 'no', key: 'no' } });
    assert.equal(await servedFingerprint(), before);
  });

  it('fails handshakes until there is a certificate', async () => {
    await server.stop();
    certificate = fakeServingCertificate();
    await start();
    await assert.rejects(once(dial(), 'secureConnect'));
    certificate.set({ keyPair: first });
    assert.equal((await echo('1')).status, 200);
  });

  it('asks a client to close its connection after the maximum age, spread by a fifth', async () => {
    for (const [random, end] of [
      [0, 80_000],
      [1, 120_000],
    ] as const) {
      await server.stop();
      await start({ connectionAge: { maxAgeMs: 100_000, random: () => random } });
      ahead = 0;
      for (const [at, connection] of [
        [0, 'keep-alive'],
        [end - 10_000, 'keep-alive'],
        [end + 10_000, 'close'],
      ] as const) {
        ahead = at;
        assert.equal((await echo('1')).headers.connection, connection, `${random} ${at}`);
      }
    }
  });

  it('asks clients to go while it drains, and answers them until it stops', async () => {
    server.drain();
    const drained = await echo('1');
    assert.deepEqual([drained.status, drained.headers.connection], [200, 'close']);
  });

  it('answers a request in flight before it stops', async () => {
    const answer = send('/slow');
    await slow.called.promise;
    const stopped = server.stop();
    slow.done.resolve();
    assert.deepEqual([(await answer).text, (await answer).headers.connection], ['done', 'close']);
    await stopped;
    await assert.rejects(echo('1'), { code: 'ECONNREFUSED' });
  });

  it('stops although connections idle or were never used', async () => {
    assert.equal((await echo('1')).status, 200);
    const unused = dial();
    await once(unused, 'secureConnect');
    const closed = once(unused.resume(), 'close');
    await server.stop();
    await closed;
  });

  it('stops although a client left before its answer', async () => {
    const leaving = send('/slow');
    await slow.called.promise;
    agent.destroy();
    await assert.rejects(leaving);
    await server.stop();
    slow.done.resolve();
  });

  it('stops after 5 s although a request in flight does not end', async () => {
    await server.stop();
    const fake = createFakeClock();
    await start({ clock: fake });
    const hanging = assert.rejects(send('/slow'), { code: 'ECONNRESET' });
    await slow.called.promise;
    const stopped = server.stop();
    // The limit for requests in flight, then that for the last bytes.
    await fake.advance(5_000);
    await fake.advance(100);
    await hanging;
    await stopped;
  });

  describe('under a flood from another address', () => {
    const flooder = '127.0.0.66';
    let flood: Socket[];
    beforeEach(() => {
      flood = [];
    });
    afterEach(() => {
      for (const socket of flood) socket.destroy();
    });
    const whenClosed = (socket: Socket) => new Promise<void>((resolve) => socket.resume().once('close', () => resolve()));
    const from = async (socket: Socket, event: string) => {
      flood.push(socket.on('error', () => undefined));
      await once(socket, event);
      return socket;
    };
    const dialRaw = () => from(connectTcp({ host: '127.0.0.1', port: server.port, localAddress: flooder }), 'connect');
    const dialTls = () => from(dial({ localAddress: flooder }).resume(), 'secureConnect');
    /** What a client sends first, as a server sees it. */
    const clientHello = async () => {
      const listener = createServer().listen(0, '127.0.0.1');
      await once(listener, 'listening');
      const client = connect({ ...(listener.address() as AddressInfo), host: '127.0.0.1', servername }).on('error', () => undefined);
      const [socket] = (await once(listener, 'connection')) as [Socket];
      const [bytes] = (await once(socket, 'data')) as [Buffer];
      client.destroy();
      socket.destroy();
      listener.close();
      return bytes;
    };

    it('answers while sockets that send nothing wait', async () => {
      for (let count = 0; count < 20; count += 1) await dialRaw();
      assert.equal((await echo('1')).status, 200);
    });

    it('closes the oldest of a source when too many sockets wait', async () => {
      const oldest = await dialRaw();
      const closed = whenClosed(oldest);
      for (let count = 0; count < 4; count += 1) await dialRaw();
      await closed;
      assert.equal((await echo('1')).status, 200);
    });

    it('closes a socket that sends no ClientHello in time', async () => {
      await server.stop();
      const fake = createFakeClock();
      await start({ clock: fake });
      const socket = await dialRaw();
      socket.write(Buffer.from([22, 3, 1]));
      const closed = whenClosed(socket);
      assert.equal((await echo('1')).status, 200);
      await fake.advance(10_500);
      await closed;
    });

    it('answers while handshakes stay half done', async () => {
      const bytes = await clientHello();
      const sockets = await Promise.all(Array.from({ length: 8 }, dialRaw));
      const answered = sockets.slice(0, 2).map((socket) => once(socket, 'data'));
      for (const socket of sockets) socket.write(bytes);
      await Promise.any(answered);
      assert.equal((await echo('1')).status, 200);
    });

    it('answers while one source has all its connections and more', async () => {
      for (let count = 0; count < 4; count += 1) await dialTls();
      const waiting = dialTls();
      assert.equal((await echo('1')).status, 200);
      // A connection of the same source that ends makes room.
      flood[1]?.destroy();
      await waiting;
    });

    it('closes a silent connection after a second when its source dials more', async () => {
      await server.stop();
      const fake = createFakeClock();
      await start({ clock: fake });
      const oldest = await dialTls();
      const closed = whenClosed(oldest);
      for (let count = 0; count < 3; count += 1) await dialTls();
      const next = dialTls();
      assert.equal((await echo('1')).status, 200);
      await fake.advance(1_250);
      await Promise.all([closed, next]);
    });

    it('drops a socket that speaks no TLS', async () => {
      const socket = await dialRaw();
      socket.write('GET / HTTP/1.1\r\n\r\n');
      await whenClosed(socket);
      assert.equal((await echo('1')).status, 200);
    });

    describe('of bodies', () => {
      let fake: FakeClock;
      beforeEach(async () => {
        await server.stop();
        fake = createFakeClock();
        await start({ clock: fake, bodyLimit: 40_000, limits: { ...limits, maxConnectionsPerSource: 8, maxConnections: 16 } });
      });
      /** Sends these bytes of a body of 40 000; resolves with all that comes back before the connection ends. */
      const sendPart = async (bytes: number) => {
        const socket = await dialTls();
        socket.write('POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 40000\r\n\r\n');
        socket.write('"'.padEnd(bytes, 'x'));
        let text = '';
        socket.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        let done = false;
        const closed = whenClosed(socket).then(() => {
          done = true;
          return text;
        });
        return { closed, isDone: () => done };
      };
      const passTime = async (until: () => boolean) => {
        while (!until()) await fake.advance(100);
      };

      it('refuses a body that does not arrive within a second with 408', async () => {
        const part = await sendPart(10_000);
        assert.equal((await echo('1')).status, 200);
        await passTime(part.isDone);
        assert.match(await part.closed, /^HTTP\/1\.1 408 .*connection: close.*did not arrive in time/s);
      });

      it('answers while bodies of another source use half of the budget', async () => {
        const parts = await Promise.all(Array.from({ length: 3 }, () => sendPart(20_000)));
        const body = JSON.stringify(['y'.repeat(30_000)]);
        for (let count = 0; count < 3; count += 1) assert.ok((await echo(body)).text === body);
        await passTime(() => parts.every((part) => part.isDone()));
        const answers = await Promise.all(parts.map((part) => part.closed));
        for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 4(?:08|29) /);
        assert.ok(
          answers.some((answer) => /retry-after: 1/.test(answer)),
          'one had to wait for the others',
        );
      });

      it('reads all bodies of one source although they exceed the budget together', async () => {
        const body = JSON.stringify(['y'.repeat(39_000)]);
        const answers = await Promise.all(Array.from({ length: 8 }, () => echo(body)));
        assert.ok(answers.every(({ status, text }) => status === 200 && text === body));
      });
    });
  });
});
