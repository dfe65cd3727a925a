// Worker of held-polls.test.ts: many sidecars, each with a connection of its own, so that their memory is not counted as the broker's.
import { Agent, request } from 'node:https';
import { parentPort, workerData } from 'node:worker_threads';
import { identitiesPath } from '../../../api/broker.ts';

export interface PollerData {
  port: number;
  ca: string;
  servername: string;
  tokens: string[];
}

/** Posted for every answer. */
export interface Polled {
  index: number;
  status: number;
}

const { port, ca, servername, tokens } = workerData as PollerData;
// Addresses of a few nodes: the broker holds 500 connections of one.
const agents = tokens.map(
  (_, index) => new Agent({ keepAlive: true, maxSockets: 1, ca, servername, localAddress: `127.0.1.${1 + (index % 8)}` }),
);
const etags: (string | undefined)[] = [];

function poll(index: number): void {
  const etag = etags[index];
  const headers = { authorization: `Bearer ${tokens[index]}`, ...(etag === undefined ? {} : { 'if-none-match': etag }) };
  const sent = request({ host: '127.0.0.1', port, agent: agents[index], path: `${identitiesPath}?wait=300`, headers }, (response) => {
    response.resume().on('end', () => {
      etags[index] = response.headers.etag;
      parentPort?.postMessage({ index, status: response.statusCode ?? 0 } satisfies Polled);
      if (response.statusCode === 200) poll(index);
    });
  });
  // A thousand handshakes at once may take longer than one of them waits; later it is the end of the test.
  sent.on('error', () => setTimeout(() => poll(index), 100)).end();
}

for (const index of tokens.keys()) poll(index);
