// Programs that the tests run in a namespace. `serve WORD ADDR:PORT...` sends WORD to each connection. `ask [ADDR]:PORT [UID GID]` connects and
// prints what it receives, or the code of the error. It changes its user after the start, because that user may not read this repository.
import { createConnection, createServer } from 'node:net';

function split(text: string): { host: string; port: number } {
  const at = text.lastIndexOf(':');
  return { host: text.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(text.slice(at + 1)) };
}

function become(uid: string | undefined, gid: string | undefined): void {
  if (uid === undefined || gid === undefined) return;
  process.setgroups?.([]);
  process.setgid?.(Number(gid));
  process.setuid?.(Number(uid));
}

const [command, first = '', ...rest] = process.argv.slice(2);
if (command === 'serve') {
  await Promise.all(
    rest.map(
      (address) =>
        new Promise<void>((resolve) => createServer((socket) => socket.on('error', () => {}).end(first)).listen(split(address), resolve)),
    ),
  );
  console.log('ready');
  process.stdin.on('end', () => process.exit(0)).resume();
} else {
  become(rest[0], rest[1]);
  const socket = createConnection(split(first));
  let received = '';
  const end = (text: string) => {
    console.log(text);
    process.exit(0);
  };
  socket.setTimeout(3000, () => end('ETIMEDOUT'));
  socket.on('data', (chunk) => {
    received += String(chunk);
  });
  socket.on('end', () => end(received));
  socket.on('error', (error) => end('code' in error ? String(error.code) : error.message));
}
