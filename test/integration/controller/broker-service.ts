// What stands between a pod and its token, for tests that ask for one: the broker's Service, the pod's bound token, its sidecar.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { Agent, request } from 'undici';
import { brokerAudience, caBundleConfigMapName, caBundleKey } from '../../../api/names.ts';
import { metadataOf, stringAt } from '../../../lib/kube/objects.ts';
import { configMaps, pods, resourcePath } from '../../../lib/kube/resources.ts';
import { forward, portOf } from '../../cluster/forward.ts';
import type { RunningProgram } from '../../harness/program.ts';
import { eventually } from '../../harness/wait.ts';
import type { RunningProxy } from '../sidecar/process.ts';
import { startProxy } from '../sidecar/process.ts';
import type { Harness } from './harness/harness.ts';
import { isAbsent } from './harness/objects.ts';

/** Flag of every controller behind this Service: its name in the certificate is one that leads nowhere but to this machine. */
export const serviceFlag = '--broker-service=localhost';

export interface SidecarOptions {
  namespace?: string;
  /** IMDS of the machine that the pod runs on. */
  imds?: string;
  flags?: string[];
}

export interface BrokerService {
  /** New connections go to this replica. */
  leadTo(controller: RunningProgram): Promise<void>;
  /** The sidecar of a pod that exists, as a process; it ends with the test. */
  startSidecar(test: TestContext, pod: string, options?: SidecarOptions): Promise<RunningProxy>;
  /** What the sidecar of a pod in `default` would send; tells the status of the answer. */
  post(pod: string, path: string, body: unknown): Promise<number>;
  stop(): void;
}

export async function serveBroker(harness: Harness): Promise<BrokerService> {
  const replica = { host: '127.0.0.1', port: 0 };
  const server = await forward({ host: '127.0.0.1', port: 0 }, replica);
  const port = portOf(server);

  const boundToken = async (namespace: string, name: string): Promise<string> => {
    const { uid } = metadataOf(await harness.client.call('GET', resourcePath(pods, { namespace, name })));
    const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name, uid };
    const answer = await harness.client.call('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/default/token`, {
      body: { spec: { audiences: [brokerAudience], expirationSeconds: 3600, boundObjectRef } },
    });
    const token = stringAt(answer, 'status', 'token');
    assert.ok(token, 'the API server gives a bound token');
    return token;
  };

  async function bundle(): Promise<string> {
    const path = resourcePath(configMaps, { namespace: 'default', name: caBundleConfigMapName });
    await eventually(async () => !(await isAbsent(harness.client, path)), 'the CA bundle');
    return stringAt(await harness.client.call('GET', path), 'data', caBundleKey) ?? '';
  }

  return {
    async leadTo(controller) {
      replica.port = Number((await controller.logged((record) => record.msg === 'started')).broker);
    },
    async startSidecar(test, pod, { namespace = 'default', imds = harness.emulator.urls.imds, flags = [] } = {}) {
      const ca = await bundle();
      const token = await boundToken(namespace, pod);
      const broker = { url: `https://localhost:${port}`, address: `127.0.0.1:${port}`, ca, token };
      const sidecar = await startProxy({ imds, broker, flags });
      test.after(() => sidecar.stop());
      return sidecar;
    },
    async post(pod, path, body) {
      const dispatcher = new Agent({ connect: { ca: await bundle() } });
      const headers = { authorization: `Bearer ${await boundToken('default', pod)}`, 'content-type': 'application/json' };
      const answer = await request(`https://localhost:${port}${path}`, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
        dispatcher,
      });
      await answer.body.dump();
      await dispatcher.close();
      return answer.statusCode;
    },
    stop: () => void server.close(),
  };
}
