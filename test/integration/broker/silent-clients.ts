// Started by floods.test.ts with a port, an address and a number: keeps so many TLS connections open from that address, which never send a request. One
// that the broker closes is dialled again. A process of its own, so that its memory is not counted as the broker's.
import { connect as connectTcp } from 'node:net';
import { connect } from 'node:tls';

const [port, address, count] = process.argv.slice(2);
let handshakes = 0;

function dial(): void {
  const socket = connect({
    socket: connectTcp({ host: '127.0.0.1', port: Number(port), localAddress: String(address) }),
    rejectUnauthorized: false,
  });
  socket.once('secureConnect', () => {
    handshakes += 1;
    process.send?.(handshakes);
  });
  // 'close' follows.
  socket.on('error', () => undefined);
  socket.once('close', () => setTimeout(dial, 100));
}

for (let n = 0; n < Number(count); n += 1) dial();
process.once('disconnect', () => process.exit());
