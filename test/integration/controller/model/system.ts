// The real system beside the model: runs the commands of a history on both, and compares them.
import { setTimeout as delay } from 'node:timers/promises';
import type { OwnershipRecord } from '../../../../controller/scopes/ownership.ts';
import { parseRecord, recordName } from '../../../../controller/scopes/ownership.ts';
import { recordSelector } from '../../../../controller/scopes/ownership-store.ts';
import type { KubeClient } from '../../../../lib/kube/client.ts';
import { isNotFound } from '../../../../lib/kube/errors.ts';
import { startInformer } from '../../../../lib/kube/informer.ts';
import {
  azureIdentities,
  azureIdentityBindings,
  azurePodIdentityExceptions,
  configMaps,
  pods,
  resourcePath,
} from '../../../../lib/kube/resources.ts';
import { silentLogger } from '../../../../lib/log.ts';
import { idOf } from '../../azure/fixtures.ts';
import { serveBroker } from '../broker-service.ts';
import { federationFlags } from '../federation.ts';
import { startHarness } from '../harness/harness.ts';
import { Attribution } from './attribution.ts';
import { modelAzure, refuseBadNames, scopeIds } from './fixtures.ts';
import type { AzureName, Command, ScopeName } from './history.ts';
import { azureNames, bindingKeys, identityKeys, namespaces, nodeNames, podKeys } from './history.ts';
import { objectsOf } from './kubernetes.ts';
import { applyTo, emptyModel, namespaceOf } from './model.ts';
import { differences } from './oracle.ts';
import { startOtherWriter } from './other-writer.ts';
import { watchRemovals } from './removal-oracle.ts';
import type { LeaderFailure } from './replicas.ts';
import { startReplicas } from './replicas.ts';

export interface ModelledSystem {
  run(history: readonly Command[]): Promise<void>;
  /** Ends all faults and waits until system and model agree; returns in what they differ after this time. */
  settle(ms: number): Promise<string[]>;
  deletePods(): Promise<void>;
  /** Makes system and model ready for the next history. */
  reset(): Promise<void>;
  /** The last records of the controllers' logs. */
  lastRecords(): string[];
  stop(): Promise<void>;
}

export async function startModelledSystem(): Promise<ModelledSystem> {
  const harness = await startHarness({ azure: modelAzure });
  const { client, emulator } = harness;
  for (const name of namespaces) if (name !== 'default') await harness.createNamespace(name);
  refuseBadNames(emulator);
  const broker = await serveBroker(harness);
  const federation = await federationFlags(harness, broker);
  const replicas = await startReplicas(harness, federation.controller);
  await broker.startReplica({ flags: federation.broker });
  const records = startInformer<OwnershipRecord>({
    client,
    log: silentLogger,
    resource: configMaps,
    namespace: 'default',
    labelSelector: recordSelector,
    project: parseRecord,
  });
  const objects = objectsOf(client);
  const attribution = new Attribution();
  const otherWriter = await startOtherWriter({
    emulator,
    attribution,
    attached: (scope) => harness.attached(scopeIds[scope]),
    entryOf: (scope, name) => readEntry(client, scope, name),
  });
  let model = emptyModel();
  const removals = watchRemovals({ emulator, assigned: () => harness.assigned.values(), model: () => model, attribution });

  async function failLeader(failure: LeaderFailure): Promise<void> {
    const leader = await replicas.leader();
    if (leader === undefined) return;
    attribution.answersMayBeLost();
    await replicas.fail(leader, failure);
  }

  async function runCommand(command: Command): Promise<void> {
    if (!applyTo(model, command)) return;
    removals.modelChanged();
    switch (command.do) {
      case 'foreign attach':
        await otherWriter.attach(command.scope, command.azure);
        break;
      case 'foreign detach':
        await otherWriter.detach(command.scope, command.azure);
        break;
      case 'fault':
        if (['reset', 'operation', 'answer'].includes(String(command.fault.fault))) attribution.answersMayBeLost();
        if (command.fault.fault === 'operation') attribution.operationsMayFail();
        emulator.addFault(command.fault);
        break;
      case 'kill leader':
      case 'stop leader':
      case 'freeze leader':
        await failLeader(command.do);
        break;
      case 'restart API server':
        await harness.plane.restartApiServer();
        break;
      case 'wait':
        await delay(command.ms);
        break;
      default:
        await objects.run(command, 'pod' in command ? model.pods.get(command.pod) : undefined);
    }
    removals.systemChanged();
  }

  /** All but those of bad identities. */
  function endFaults(): void {
    emulator.removeFaults();
    refuseBadNames(emulator);
  }

  const runAtOnce = (commands: readonly Command[]) => Promise.all(commands.map(runCommand));

  return {
    async run(history) {
      for (const command of history) await runCommand(command);
    },
    async settle(ms) {
      endFaults();
      let found: string[] = [];
      for (const deadline = Date.now() + ms; Date.now() < deadline; await delay(15)) {
        const reality = {
          objects: [...harness.assigned.values()],
          azure: emulator.state(),
          recordOf: (scope: ScopeName) => records.get(`default/${recordName(scopeIds[scope])}`),
        };
        found = differences(model, reality, attribution);
        if (found.length === 0) break;
      }
      return [...found, ...removals.found()];
    },
    async deletePods() {
      await runAtOnce(podKeys.map((pod) => ({ do: 'remove pod', pod })));
    },
    async reset() {
      endFaults();
      model = emptyModel(model);
      await Promise.all([
        ...podKeys.map((key) => objects.delete(pods, key)),
        ...bindingKeys.map((key) => objects.delete(azureIdentityBindings, key)),
        ...identityKeys.map((key) => objects.delete(azureIdentities, key)),
        ...namespaces.map((namespace) => objects.delete(azurePodIdentityExceptions, `${namespace}/missed`)),
      ]);
      await otherWriter.reset();
      removals.reset();
      await runAtOnce(startOfHistory());
    },
    lastRecords: () => replicas.lastRecords(),
    async stop() {
      removals.stop();
      await records.stop();
      await broker.stop();
      await harness.stop();
    },
  };
}

/** The API server's record may be newer than the informer's. */
async function readEntry(client: KubeClient, scope: ScopeName, name: AzureName) {
  try {
    const path = resourcePath(configMaps, { namespace: 'default', name: recordName(scopeIds[scope]) });
    return parseRecord(await client.call('GET', path)).identities.get(idOf(name).toLowerCase());
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

const isHonest = (key: string): boolean => namespaceOf(key) !== 'hostile';

/** All nodes and bindings, and the identities of the honest namespaces, so that pods get something from the first command on. */
const startOfHistory = (): Command[] => [
  ...nodeNames.map((node): Command => ({ do: 'make node', node })),
  ...identityKeys.filter(isHonest).map((identity, index): Command => {
    return { do: 'set identity', identity, azure: azureNames[index % 4] ?? 'red', namespaced: false, federated: false };
  }),
  ...bindingKeys.map((binding, index): Command => {
    const near = identityKeys.filter((key) => namespaceOf(key) === namespaceOf(binding));
    return { do: 'set binding', binding, identity: near[index % near.length] ?? '', selector: `s${index % 3}` };
  }),
];
