// Worker of floods.test.ts: keeps so many TLS connections open, from one address, that never send a request. One that the broker closes is dialled again.
import { connect as connectTcp } from 'node:net';
import { connect } from 'node:tls';
import { parentPort, workerData } from 'node:worker_threads';

export interface SilentClientsData {
  port: number;
  address: string;
  count: number;
}

const { port, address, count } = workerData as SilentClientsData;
let handshakes = 0;

function dial(): void {
  const socket = connect({ socket: connectTcp({ host: '127.0.0.1', port, localAddress: address }), rejectUnauthorized: false });
  socket.once('secureConnect', () => {
    handshakes += 1;
    parentPort?.postMessage(handshakes);
  });
  // 'close' follows.
  socket.on('error', () => undefined);
  socket.once('close', () => setTimeout(dial, 100));
}

for (let n = 0; n < count; n += 1) dial();
