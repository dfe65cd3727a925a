// Forwards bytes from one socket to another. By it the machine reaches into a cluster's network namespace without a device between them.

import type { IpcNetConnectOpts, ListenOptions, Server, TcpNetConnectOpts } from 'node:net';
import { connect, createServer } from 'node:net';

/** Each connection to `listen` becomes one to `target`; either side may close its half first. */
export function forward(listen: ListenOptions, target: TcpNetConnectOpts | IpcNetConnectOpts): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ ...target, allowHalfOpen: true, noDelay: true });
    near.on('error', () => far.destroy());
    far.on('error', () => near.destroy());
    near.pipe(far);
    far.pipe(near);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen(listen, () => resolve(server));
  });
}

export function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
