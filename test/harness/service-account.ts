import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { KubeClient } from '../../lib/kube/client.ts';
import { metadataOf, stringAt } from '../../lib/kube/objects.ts';
import { pods, resourcePath } from '../../lib/kube/resources.ts';
import { renderKubeconfig } from '../cluster/access.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';

export interface ServiceAccountOptions {
  plane: ControlPlane;
  /** Of an administrator. */
  client: KubeClient;
  namespace: string;
  name: string;
}

/** The token that kubelet would project into a pod that exists. */
export async function boundTokenOf(
  client: KubeClient,
  pod: { namespace: string; name: string; serviceAccount?: string },
  audience: string,
): Promise<string> {
  const { namespace, name, serviceAccount = 'default' } = pod;
  const { uid } = metadataOf(await client.call('GET', resourcePath(pods, { namespace, name })));
  const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name, uid };
  const answer = await client.call('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`, {
    body: { spec: { audiences: [audience], expirationSeconds: 3600, boundObjectRef } },
  });
  const token = stringAt(answer, 'status', 'token');
  if (token === undefined) throw new Error(`the API server gives no token for ${namespace}/${name}`);
  return token;
}

/** Path of a kubeconfig with the rights of a service account; it goes with the control plane. */
export async function kubeconfigOf({ plane, client, namespace, name }: ServiceAccountOptions): Promise<string> {
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
  const answer = await client.call('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`, { body });
  const token = stringAt(answer, 'status', 'token') ?? '';
  const file = path.join(plane.folder, `${name}-${randomBytes(4).toString('hex')}.json`);
  writeFileSync(file, renderKubeconfig(plane.url, plane.ca, { name, groups: [], token }), { mode: 0o600 });
  return file;
}
