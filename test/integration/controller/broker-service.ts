// What stands between a pod and its token, for tests that ask for one: the broker's Service, the pod's bound token, its sidecar.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { brokerAudience, caBundleConfigMapName, caBundleKey } from '../../../api/names.ts';
import { metadataOf, stringAt } from '../../../lib/kube/objects.ts';
import { configMaps, pods, resourcePath } from '../../../lib/kube/resources.ts';
import { forward, portOf } from '../../cluster/forward.ts';
import type { RunningProxy } from '../sidecar/process.ts';
import { startProxy } from '../sidecar/process.ts';
import type { ControllerProcess, Stage } from './stage.ts';
import { eventually, isAbsent } from './stage.ts';

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
  leadTo(controller: ControllerProcess): Promise<void>;
  /** The sidecar of a pod that exists, as a process; it ends with the test. */
  startSidecar(test: TestContext, pod: string, options?: SidecarOptions): Promise<RunningProxy>;
  stop(): void;
}

export async function serveBroker(stage: Stage): Promise<BrokerService> {
  const replica = { host: '127.0.0.1', port: 0 };
  const server = await forward({ host: '127.0.0.1', port: 0 }, replica);
  const port = portOf(server);

  const boundToken = async (namespace: string, name: string): Promise<string> => {
    const { uid } = metadataOf(await stage.client.call('GET', resourcePath(pods, { namespace, name })));
    const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name, uid };
    const answer = await stage.client.call('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/default/token`, {
      body: { spec: { audiences: [brokerAudience], expirationSeconds: 3600, boundObjectRef } },
    });
    const token = stringAt(answer, 'status', 'token');
    assert.ok(token, 'the API server gives a bound token');
    return token;
  };

  return {
    async leadTo(controller) {
      replica.port = Number((await controller.logs((record) => record.msg === 'started')).broker);
    },
    async startSidecar(test, pod, { namespace = 'default', imds = stage.emulator.urls.imds, flags = [] } = {}) {
      const bundle = resourcePath(configMaps, { namespace: 'default', name: caBundleConfigMapName });
      await eventually(async () => !(await isAbsent(stage.client, bundle)), 'the CA bundle');
      const ca = stringAt(await stage.client.call('GET', bundle), 'data', caBundleKey) ?? '';
      const token = await boundToken(namespace, pod);
      const broker = { url: `https://localhost:${port}`, address: `127.0.0.1:${port}`, ca, token };
      const sidecar = await startProxy({ imds, broker, flags });
      test.after(() => sidecar.stop());
      return sidecar;
    },
    stop: () => void server.close(),
  };
}
