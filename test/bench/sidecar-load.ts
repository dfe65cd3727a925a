// Load for the benches of the sidecar: a fake IMDS and a client, both cheap.
import { once } from 'node:events';
import type { Agent, Server } from 'node:http';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createConnection } from 'node:net';
import { rowOf } from '../integration/sidecar/azure.ts';
import { sendRepeatedly } from './raw-requests.ts';
import { median } from './table.ts';

export const query = '/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net';
const headers = { Metadata: 'true' };

/** A fake IMDS that always answers one token of 1.5 KB. */
export async function startFakeImds(): Promise<{ url: string; server: Server }> {
  const server = createServer((_request, response) => {
    const now = Math.floor(Date.now() / 1000);
    const body = {
      access_token: 'x'.repeat(1500),
      client_id: rowOf('reader').clientID,
      expires_in: '86400',
      expires_on: String(now + 86_400),
      token_type: 'Bearer',
    };
    response.writeHead(200, { 'content-type': 'application/json', server: 'IMDS/1' }).end(JSON.stringify(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

export function ask(url: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    get(`${url}${query}`, { agent, headers }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    }).on('error', reject);
  });
}

/** Requests on this many connections. */
export async function load(url: string, connections: number, total: number): Promise<{ perSecond: number; p50: number }> {
  const { hostname, port } = new URL(url);
  const bytes = Buffer.from(`GET ${query} HTTP/1.1\r\nHost: ${hostname}\r\nMetadata: true\r\n\r\n`);
  const loadOne = async () => {
    const socket = createConnection(Number(port), hostname).setNoDelay(true);
    await once(socket, 'connect');
    const times = await sendRepeatedly(socket, bytes, Math.floor(total / connections));
    socket.destroy();
    return times;
  };
  const began = performance.now();
  const times = (await Promise.all(Array.from({ length: connections }, loadOne))).flat();
  return { perSecond: (times.length * 1000) / (performance.now() - began), p50: median(times) };
}
