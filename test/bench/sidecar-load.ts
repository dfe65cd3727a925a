// Load for the benches of the sidecar: an IMDS that costs nothing, and a client that costs little.
import { once } from 'node:events';
import type { Agent, Server } from 'node:http';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createConnection } from 'node:net';
import { rowOf } from '../integration/sidecar/azure.ts';

const query = '/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net';
const headers = { Metadata: 'true' };

export const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** An IMDS that costs nothing: one token of 1.5 KB. */
export async function startStub(): Promise<{ url: string; server: Server }> {
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

/** Requests on this many connections, written as raw bytes so that the client costs little; each waits for its answer. */
export async function load(url: string, connections: number, total: number): Promise<{ perSecond: number; p50: number }> {
  const { hostname, port } = new URL(url);
  const bytes = Buffer.from(`GET ${query} HTTP/1.1\r\nHost: ${hostname}\r\nMetadata: true\r\n\r\n`);
  const times: number[] = [];
  const each = Math.floor(total / connections);
  const began = performance.now();
  const one = async () => {
    const socket = createConnection(Number(port), hostname).setNoDelay(true);
    await once(socket, 'connect');
    let size = 0;
    let left = each;
    let heard = 0;
    let sent = performance.now();
    await new Promise<void>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('data', (chunk: Buffer) => {
        if (size === 0) {
          const end = chunk.indexOf('\r\n\r\n');
          size = end + 4 + Number(/content-length: (\d+)/i.exec(chunk.subarray(0, end).toString())?.[1]);
        }
        heard += chunk.length;
        if (heard < size) return;
        heard = 0;
        size = 0;
        const now = performance.now();
        times.push(now - sent);
        left -= 1;
        if (left === 0) return resolve();
        sent = now;
        socket.write(bytes);
      });
      socket.write(bytes);
    });
    socket.destroy();
  };
  await Promise.all(Array.from({ length: connections }, one));
  return { perSecond: times.length / ((performance.now() - began) / 1000), p50: median(times) };
}
