// What federated identities need besides controller and broker: their service accounts and tokens, as the chart and kubelet give them.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { brokerAudience, controllerServiceAccountName } from '../../../api/names.ts';
import { pods, resourcePath } from '../../../lib/kube/resources.ts';
import { boundTokenOf } from '../../harness/service-account.ts';
import type { BrokerService } from './broker-service.ts';
import type { Harness } from './harness/harness.ts';

const audience = 'api://AzureADTokenExchange';
const brokerServiceAccountName = 'aad-pod-identity-broker';

export interface FederationFlags {
  controller: string[];
  broker: string[];
}

/** The flags with which the controller and the broker of a harness federate. */
export async function federationFlags(harness: Harness, broker: BrokerService): Promise<FederationFlags> {
  const controllerToken = await tokenFile(harness, controllerServiceAccountName, brokerAudience);
  const brokerToken = await tokenFile(harness, brokerServiceAccountName, audience);
  return {
    controller: [`--broker-address=127.0.0.1:${broker.port}`, `--broker-token-file=${controllerToken}`],
    broker: [`--federated-token-file=${brokerToken}`],
  };
}

/** The token of a pod of its own that has this service account, in a file that goes with the control plane. */
async function tokenFile({ client, plane }: Harness, name: string, forAudience: string): Promise<string> {
  const namespace = 'default';
  await client.call('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, {
    body: { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name } },
  });
  const spec = { serviceAccountName: name, containers: [{ name: 'program', image: 'program' }] };
  await client.call('POST', resourcePath(pods, { namespace }), { body: { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec } });
  const file = path.join(plane.folder, `${name}.token`);
  await writeFile(file, await boundTokenOf(client, { namespace, name, serviceAccount: name }, forAudience), { mode: 0o600 });
  return file;
}
