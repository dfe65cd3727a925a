// Plays a history on the real system and keeps the model beside it; then says how the system differs from the model.
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { leaderLeaseName } from '../../../../api/names.ts';
import type { OwnershipRecord } from '../../../../controller/scopes/ownership.ts';
import { parseRecord, recordName } from '../../../../controller/scopes/ownership.ts';
import { recordSelector } from '../../../../controller/scopes/ownership-store.ts';
import { isNotFound } from '../../../../lib/kube/errors.ts';
import { startInformer } from '../../../../lib/kube/informer.ts';
import { at } from '../../../../lib/kube/objects.ts';
import {
  azureIdentities,
  azureIdentityBindings,
  azurePodIdentityExceptions,
  configMaps,
  leases,
  namespaces as namespaceKind,
  pods,
  resourcePath,
} from '../../../../lib/kube/resources.ts';
import { silentLogger } from '../../../../lib/log.ts';
import type { RunningProgram } from '../../../harness/program.ts';
import { idOf } from '../../azure/fixtures.ts';
import { startHarness } from '../harness/harness.ts';
import { modelAzure, scopeIds } from './azure.ts';
import { differences } from './differences.ts';
import { applyTo, emptyModel, namespaceOf } from './expected.ts';
import { openForeignHand } from './foreign-hand.ts';
import type { Command, ScopeName } from './history.ts';
import { azureNames, bindingKeys, identityKeys, namespaces, nodeNames, podKeys } from './history.ts';
import { objectsOf } from './perform.ts';
import { watchRemovals } from './removals.ts';

const flags = [
  '--identity-assignment-reconcile-interval=0.3',
  '--lease-duration=1.5',
  '--lease-renew=1',
  '--lease-retry=0.3',
  '--collect-quiet=20',
  '--log-level=debug',
];
/** Longer than a Lease and the wait for the next try of another replica. */
const freezeMs = 2_500;

export interface Theatre {
  play(history: readonly Command[]): Promise<void>;
  /** Waits until system and model agree, so long at most; else what they differ in. */
  rest(ms: number): Promise<string[]>;
  /** Takes away all pods. */
  clear(): Promise<void>;
  /** Starts the next history from scratch. */
  reset(): Promise<void>;
  /** The last that the controllers said, but for what is usual. */
  said(): string[];
  stop(): Promise<void>;
}

export async function openTheatre(): Promise<Theatre> {
  const harness = await startHarness(modelAzure);
  const { client, emulator } = harness;
  const running = new Set<RunningProgram>();
  let said: string[] = [];
  async function start(): Promise<void> {
    const one = await harness.startController(flags);
    running.add(one);
    const listen = (line: string) => {
      if (!line.includes('Azure answered')) said = [...said.slice(-60), line.slice(0, 600)];
    };
    if (one.process.stdout !== null) createInterface(one.process.stdout).on('line', listen);
  }
  for (const name of namespaces)
    if (name !== 'default') await client.call('POST', resourcePath(namespaceKind), { body: { metadata: { name } } });
  await Promise.all([start(), start()]);

  const records = startInformer<OwnershipRecord>({
    client,
    log: silentLogger,
    resource: configMaps,
    namespace: 'default',
    labelSelector: recordSelector,
    project: parseRecord,
  });
  const recordKey = (scope: ScopeName) => `default/${recordName(scopeIds[scope])}`;

  const objects = objectsOf(client);
  let model = emptyModel();
  const hand = await openForeignHand({
    emulator,
    attached: (scope) => harness.attached(scopeIds[scope]),
    async claimOf(scope, name) {
      try {
        const path = resourcePath(configMaps, { namespace: 'default', name: recordName(scopeIds[scope]) });
        return parseRecord(await client.call('GET', path)).identities.get(idOf(name).toLowerCase());
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
  });
  const removals = watchRemovals({ emulator, assigned: () => harness.assigned.values(), model: () => model, hand });

  async function leader(): Promise<RunningProgram | undefined> {
    const lease = await client.call('GET', resourcePath(leases, { namespace: 'default', name: leaderLeaseName }));
    const holder = String(at(lease, 'spec', 'holderIdentity') ?? '');
    return [...running].find((one) => holder.endsWith(`_${one.process.pid}`));
  }

  async function strike(what: 'kill leader' | 'stop leader' | 'freeze leader'): Promise<void> {
    const current = await leader();
    if (current === undefined) return;
    hand.crash();
    if (what === 'freeze leader') {
      current.process.kill('SIGSTOP');
      await delay(freezeMs);
      current.process.kill('SIGCONT');
      return;
    }
    running.delete(current);
    await current.stop(what === 'kill leader' ? 'SIGKILL' : 'SIGTERM');
    await start();
  }

  async function perform(command: Command): Promise<void> {
    if (!applyTo(model, command)) return;
    removals.unwant();
    switch (command.do) {
      case 'foreign attach':
        await hand.attach(command.scope, command.azure);
        break;
      case 'foreign detach':
        await hand.detach(command.scope, command.azure);
        break;
      case 'fault':
        if (['reset', 'operation', 'answer'].includes(String(command.fault.fault))) hand.crash();
        if (command.fault.fault === 'operation') hand.spoil();
        emulator.addFault(command.fault);
        break;
      case 'kill leader':
      case 'stop leader':
      case 'freeze leader':
        await strike(command.do);
        break;
      case 'restart API server':
        await harness.plane.restartApiServer();
        break;
      case 'wait':
        await delay(command.ms);
        break;
      default:
        await objects.perform(command, 'pod' in command ? model.pods.get(command.pod) : undefined);
    }
    removals.want();
  }

  const together = (commands: Command[]) => Promise.all(commands.map(perform));

  return {
    async play(history) {
      for (const command of history) await perform(command);
    },
    async rest(ms) {
      emulator.removeFaults();
      let found: string[] = [];
      for (const deadline = Date.now() + ms; Date.now() < deadline; await delay(15)) {
        const reality = {
          objects: [...harness.assigned.values()],
          azure: emulator.state(),
          recordOf: (scope: ScopeName) => records.get(recordKey(scope)),
        };
        found = differences(model, reality, hand);
        if (found.length === 0) break;
      }
      return [...found, ...removals.found()];
    },
    async clear() {
      await together(podKeys.map((pod) => ({ do: 'remove pod', pod })));
    },
    async reset() {
      emulator.removeFaults();
      model = emptyModel(model);
      await Promise.all([
        ...podKeys.map((key) => objects.remove(pods, key)),
        ...bindingKeys.map((key) => objects.remove(azureIdentityBindings, key)),
        ...identityKeys.map((key) => objects.remove(azureIdentities, key)),
        ...namespaces.map((namespace) => objects.remove(azurePodIdentityExceptions, `${namespace}/missed`)),
      ]);
      await hand.reset();
      removals.reset();
      await together([
        ...nodeNames.map((node): Command => ({ do: 'make node', node })),
        ...identityKeys.map((identity, index): Command => {
          return { do: 'set identity', identity, azure: azureNames[index % 4] ?? 'red', namespaced: false };
        }),
        ...bindingKeys.map((binding, index): Command => {
          const near = identityKeys.filter((key) => namespaceOf(key) === namespaceOf(binding));
          return { do: 'set binding', binding, identity: near[index % near.length] ?? '', selector: `s${index % 3}` };
        }),
      ]);
    },
    said: () => said,
    async stop() {
      removals.stop();
      await records.stop();
      await harness.stop();
    },
  };
}
