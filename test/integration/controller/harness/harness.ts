// Real parts for the tests of the controller: API server with etcd, the Azure emulator, and the controller as a process.
import type { AzureAssignedIdentity } from '../../../../api/kinds.ts';
import type { KubeClient } from '../../../../lib/kube/client.ts';
import { connect } from '../../../../lib/kube/client.ts';
import type { Informer } from '../../../../lib/kube/informer.ts';
import { startInformer } from '../../../../lib/kube/informer.ts';
import { isRecord } from '../../../../lib/kube/objects.ts';
import { azureAssignedIdentities } from '../../../../lib/kube/resources.ts';
import { silentLogger } from '../../../../lib/log.ts';
import type { Emulator } from '../../../azure/emulator.ts';
import { startEmulator } from '../../../azure/emulator.ts';
import { issuer, publicIssuerBinding, roleBindingsPath } from '../../../cluster/components.ts';
import type { ControlPlane } from '../../../cluster/control-plane.ts';
import { startControlPlane } from '../../../cluster/control-plane.ts';
import { leaseControlPlane } from '../../../harness/control-plane.ts';
import { installCrds } from '../../../harness/crds.ts';
import { smallAzure } from '../../azure/fixtures.ts';
import type { Controllers } from './controller-process.ts';
import { prepareControllers } from './controller-process.ts';
import type { Objects } from './objects.ts';
import { objectsOf } from './objects.ts';
import type { Observations } from './observations.ts';
import { observe } from './observations.ts';

export interface Harness extends Objects, Observations, Pick<Controllers, 'startController'> {
  plane: ControlPlane;
  client: KubeClient;
  emulator: Emulator;
  /** All AzureAssignedIdentities as they are now. */
  assigned: Informer<AzureAssignedIdentity>;
  stop(): Promise<void>;
}

export interface HarnessOptions {
  /** Sections of the emulator's state document that differ from the usual ones. */
  azure?: Record<string, unknown>;
  /** Our CRDs are installed; true by default. */
  crds?: boolean;
  /** Further flags of the API server, without dashes. */
  apiServerFlags?: Record<string, string>;
}

/** No controller runs yet. */
export async function startHarness({ azure = {}, crds = true, apiServerFlags }: HarnessOptions = {}): Promise<Harness> {
  const plane = await (crds ? leaseControlPlane : startControlPlane)({ apiServerFlags });
  // It exchanges the tokens of the API server.
  const issuers = [{ issuer, url: plane.url }];
  const emulator = await startEmulator({ state: azureState({ issuers, ...azure }), issuerCa: plane.ca });
  const client = connect({ kubeconfig: plane.kubeconfig, userAgent: 'test', qps: 2_000 });
  await client.call('POST', roleBindingsPath, { body: publicIssuerBinding });
  const controllers = await prepareControllers(plane, emulator);
  if (crds) await installCrds(plane);
  const assigned = startInformer<AzureAssignedIdentity>({
    client,
    log: silentLogger,
    resource: azureAssignedIdentities,
    project: (raw) => (isRecord(raw) && isRecord(raw.metadata) ? { ...raw, metadata: raw.metadata } : undefined),
  });
  if (crds) await assigned.whenSynced();
  return {
    ...objectsOf(client),
    ...observe(client, emulator, assigned),
    startController: controllers.startController,
    plane,
    client,
    emulator,
    assigned,
    async stop() {
      await controllers.stop();
      await assigned.stop();
      await client.close();
      await Promise.all([plane.stop(), emulator.stop()]);
    },
  };
}

/** A scale set that carries an identity of somebody else, a VM, and operations that take 50 ms. */
const azureState = (changes: Record<string, unknown>) =>
  smallAzure({
    scaleSets: [{ name: 'Pool1', instances: 2, identity: { type: 'UserAssigned', ids: ['third'] } }],
    virtualMachines: [{ name: 'alone', identity: { type: 'SystemAssigned' } }],
    settings: { limits: { imds: false, arm: false }, arm: { operationMs: 50 } },
    ...changes,
  });
