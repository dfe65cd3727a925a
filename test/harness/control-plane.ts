// The control plane of a test file.
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { createInterface } from 'node:readline';
import type { ControlPlane, ControlPlaneOptions } from '../cluster/control-plane.ts';
import { startControlPlane } from '../cluster/control-plane.ts';
import { ask } from '../cluster/ready.ts';

/** Names the URL of the pool of this run. */
export const poolVariable = 'CONTROL_PLANE_POOL';

/** What the pool says of one. */
export type Lease = Pick<ControlPlane, 'url' | 'kubeconfig' | 'token' | 'ca' | 'kubectl' | 'folder'> & { id: string };

/** One of the pool of this run, with our CRDs. Without a pool, or with options, one of its own without them. */
export async function leaseControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const pool = process.env[poolVariable];
  if (pool === undefined || Object.values(options).some((value) => value !== undefined)) return startControlPlane(options);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request(pool, { method: 'POST', agent: false }, resolve).on('error', reject).end();
  });
  // The connection is the lease. It must not keep a process that forgets it.
  response.socket.unref();
  const [line] = (await once(createInterface(response), 'line')) as [string];
  if (response.statusCode !== 200) throw new Error(`the pool has no control plane: ${line}`);
  const { id, ...plane }: Lease = JSON.parse(line);
  const act = async (action: string) => {
    const { status, body } = await ask(`${pool}/${action}/${id}`, { method: 'POST', seconds: 60 });
    if (status !== 200) throw new Error(`${action}: ${status} ${body}`);
  };
  return {
    ...plane,
    restartApiServer: () => act('restart'),
    compact: () => act('compact'),
    stop: async () => void response.destroy(),
  };
}
