import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { test } from 'node:test';
import { forward, portOf } from './forward.ts';

/** A server whose connections are returned, a forwarder to it, and a client of the forwarder. */
async function chain(): Promise<{ client: Socket; served: Socket; close: () => void }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port }: AddressInfo = JSON.parse(JSON.stringify(server.address()));
  const forwarder = await forward({ host: '127.0.0.1', port: 0 }, { host: '127.0.0.1', port });
  const accepted = once(server, 'connection');
  const client = connect({ port: portOf(forwarder), host: '127.0.0.1', allowHalfOpen: true });
  const [served]: Socket[] = await accepted;
  assert.ok(served !== undefined);
  const close = () => {
    client.destroy();
    served.destroy();
    server.close();
    forwarder.close();
  };
  return { client, served, close };
}

test('forwards bytes both ways, also after one side has finished', async () => {
  const { client, served, close } = await chain();
  served.write('watch event');
  assert.equal(String((await once(client, 'data'))[0]), 'watch event');
  let request = '';
  served.on('data', (part) => {
    request += String(part);
  });
  client.end('request');
  await once(served, 'end');
  assert.equal(request, 'request');
  served.end('late answer');
  assert.equal(String((await once(client, 'data'))[0]), 'late answer');
  await once(client, 'end');
  close();
});

test('breaks the other half of a broken connection', async () => {
  const { client, served, close } = await chain();
  served.resume();
  const ended = once(served, 'end');
  client.resetAndDestroy();
  await ended;
  close();
});

test('closes the connection when the target is missing, and goes on', async () => {
  const forwarder = await forward({ host: '127.0.0.1', port: 0 }, { path: '/nowhere.sock' });
  const client = connect({ port: portOf(forwarder), host: '127.0.0.1' });
  client.on('error', () => {});
  await once(client, 'close');
  assert.ok(forwarder.listening);
  forwarder.close();
});
