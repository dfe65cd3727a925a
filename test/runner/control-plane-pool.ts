// Control planes for all test files of a run, since a start takes more of the processor than most files do. A file has one for itself and finds it as
// new: it holds our CRDs and what Kubernetes makes. The process of the run owns them; a file that ends, or dies, closes its connection and gives its
// control plane back.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { OwnControlPlane } from '../cluster/control-plane.ts';
import { startControlPlane } from '../cluster/control-plane.ts';
import type { EtcdState } from '../cluster/etcd.ts';
import { apiServerReady } from '../cluster/ready.ts';
import type { Lease } from '../harness/control-plane.ts';
import { installCrds } from '../harness/crds.ts';

export interface ControlPlanePool {
  /** What the variable of test/harness/control-plane.ts says. */
  url: string;
  stop(): Promise<void>;
}

export interface Member {
  plane: OwnControlPlane;
  /** Makes it as new; rejects where it is broken. */
  reset(): Promise<void>;
}

export async function startControlPlanePool(start = startMember): Promise<ControlPlanePool> {
  const members = new Set<Promise<Member>>();
  const free: Member[] = [];
  const leased = new Map<string, Member>();
  const returning = new Set<Promise<void>>();

  const startAnother = (): Promise<Member> => {
    const started = start();
    members.add(started);
    started.catch(() => members.delete(started));
    return started;
  };
  const giveBack = (member: Member): void => {
    const returned = member
      .reset()
      .then(() => void free.push(member))
      .catch(() => member.plane.stop())
      .finally(() => returning.delete(returned));
    returning.add(returned);
  };
  const take = async (): Promise<Member> => {
    // That takes less time than another start.
    while (free.length === 0 && returning.size > 0) await Promise.race(returning);
    return free.pop() ?? startAnother();
  };
  const lease = async (response: ServerResponse) => {
    const member = await take();
    if (response.destroyed) return giveBack(member);
    const id = randomUUID();
    leased.set(id, member);
    response.on('close', () => {
      leased.delete(id);
      if (server.listening) giveBack(member);
    });
    const { url, kubeconfig, token, ca, kubectl, folder } = member.plane;
    const told: Lease = { id, url, kubeconfig, token, ca, kubectl, folder };
    response.write(`${JSON.stringify(told)}\n`);
  };

  // Whoever knows the path may have a control plane.
  const secret = `/${randomUUID()}`;
  const answer = async ({ url = '' }: IncomingMessage, response: ServerResponse) => {
    if (url === secret) return lease(response);
    const [, path, action, id = ''] = url.split('/');
    const plane = `/${path}` === secret ? leased.get(id)?.plane : undefined;
    if (plane === undefined) response.statusCode = 404;
    else if (action === 'restart') await plane.restartApiServer();
    else if (action === 'compact') await plane.compact();
    response.end();
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      response.statusCode = 500;
      response.end(`${String(error)}\n`);
    });
  });
  // A test file may wait for longer than five minutes between two requests.
  server.requestTimeout = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${secret}`,
    async stop() {
      server.close();
      server.closeAllConnections();
      const started = await Promise.allSettled(members);
      await Promise.all(started.map((result) => (result.status === 'fulfilled' ? result.value.plane.stop() : undefined)));
    },
  };
}

async function startMember(): Promise<Member> {
  const plane = await startControlPlane();
  await installCrds(plane);
  // Its controllers go on for a moment to create what belongs to every cluster.
  let fresh = await plane.readState();
  for (let last: EtcdState = new Map(); !isDeepStrictEqual(fresh, last); ) {
    await delay(500);
    [last, fresh] = [fresh, await plane.readState()];
  }
  return {
    plane,
    async reset() {
      if (!(await apiServerReady(plane.url, plane.ca, plane.token))) throw new Error('the API server is not ready');
      await plane.restoreState(fresh);
    },
  };
}
