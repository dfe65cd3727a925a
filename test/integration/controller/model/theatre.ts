// Plays a history on the real system and keeps the model beside it; then says how the system differs from the model.
import { setTimeout as delay } from 'node:timers/promises';
import { bindingLabel } from '../../../../api/names.ts';
import { parseRecord, scopeRecordName } from '../../../../controller/assignment/scope-record.ts';
import { mergePatch } from '../../../../lib/kube/client.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../../../../lib/kube/errors.ts';
import { at } from '../../../../lib/kube/objects.ts';
import { azureIdentities, azureIdentityBindings, configMaps, nodes, pods, resourcePath } from '../../../../lib/kube/resources.ts';
import type { LogEntry } from '../../../azure/core/log.ts';
import type { Arm } from '../../azure/support.ts';
import { arm, group, idOf, smallAzure } from '../../azure/support.ts';
import type { ControllerProcess, Stage } from '../stage.ts';
import { setStage, statusOf } from '../stage.ts';
import type { Model } from './expected.ts';
import { emptyModel, expectedAssignments, expectedAttached, scopeOfNode } from './expected.ts';
import type { Command, ScopeName } from './history.ts';
import { azureNames, bindingNames, identityNames, nodeNames, podNames, scopeNames } from './history.ts';

const scopeIds: Record<ScopeName, string> = {
  'set-a': `${group}/Microsoft.Compute/virtualMachineScaleSets/set-a`,
  'set-b': `${group}/Microsoft.Compute/virtualMachineScaleSets/set-b`,
  machine: `${group}/Microsoft.Compute/virtualMachines/machine`,
};
const withForeign = { identity: { type: 'UserAssigned', ids: ['foreign'] } };
const azure = smallAzure({
  imds: { vm: 'set-a/0' },
  scaleSets: ['set-a', 'set-b'].map((name) => ({ name, instances: 2, ...withForeign })),
  virtualMachines: [{ name: 'machine', identity: { type: 'SystemAssigned, UserAssigned', ids: ['foreign'] } }],
  identities: azureNames.filter((name) => name !== 'absent').map((name) => ({ name })),
  settings: { limits: { imds: false, arm: false }, arm: { operationMs: { min: 20, max: 150 } } },
});
const flags = [
  '--identity-assignment-reconcile-interval=1',
  '--lease-duration=2',
  '--lease-renew=1',
  '--lease-retry=1',
  '--log-level=debug',
];
const providerIdOf = (node: string): string => {
  const scope = scopeOfNode(node);
  return `azure://${scopeIds[scope]}${scope === 'machine' ? '' : `/virtualMachines/${node.slice(-1)}`}`;
};

export interface Theatre {
  model: Model;
  play(history: readonly Command[]): Promise<void>;
  /** Waits until system and model agree; else what they differ in. */
  rest(): Promise<string[]>;
  /** Takes away everything that is ours, keeping what is foreign. */
  clear(): Promise<void>;
  /** Starts the next history from scratch. */
  reset(): Promise<void>;
  stop(): Promise<void>;
}

export async function openTheatre(): Promise<Theatre> {
  const stage: Stage = await setStage(azure);
  const { client, emulator } = stage;
  const foreignHand: Arm = await arm(emulator);
  const running = new Set<ControllerProcess>();
  const start = async () => running.add(await stage.startController(flags));
  await start();
  await start();
  let model = emptyModel();
  /** Since the last reset something happened after which nobody knows whether a PATCH of ours was carried out. */
  let crashed = false;
  /** Who attached what, and when by the emulator's log: +scope name, -scope name. */
  let foreignHistory: { seq: number; what: string; attached: boolean }[] = [];
  /** An operation will fail, perhaps the foreign hand's. */
  let failing = false;
  /** Intents of ours that the foreign hand was faster than. */
  let intended = new Set<string>();
  let begun = 0;

  const create = (resource: typeof pods, body: Record<string, unknown>, namespace?: string) =>
    patiently(() => client.call('POST', resourcePath(resource, namespace === undefined ? {} : { namespace }), { body }), isAlreadyExists);
  const remove = (path: string) => patiently(() => client.call('DELETE', path, { body: { gracePeriodSeconds: 0 } }), isNotFound);
  const at1 = (resource: typeof pods, name: string) => resourcePath(resource, { namespace: 'default', name });
  const meta = (kind: string) => ({ apiVersion: 'aadpodidentity.k8s.io/v1', kind });

  /** Replaces an object; what it was before does not matter. */
  async function put(resource: typeof pods, name: string, body: Record<string, unknown>): Promise<void> {
    await patiently(async () => {
      try {
        await client.call('PATCH', at1(resource, name), { contentType: mergePatch, body: { spec: body.spec } });
      } catch (error) {
        if (!isNotFound(error)) throw error;
        await client.call('POST', resourcePath(resource, { namespace: 'default' }), { body: { ...body, metadata: { name } } });
      }
    }, isConflict);
  }

  async function recordOf(scope: ScopeName) {
    try {
      return parseRecord(await client.call('GET', at1(configMaps, scopeRecordName(scopeIds[scope]))));
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async function leader(): Promise<ControllerProcess | undefined> {
    const lease = await client.call('GET', '/apis/coordination.k8s.io/v1/namespaces/default/leases/aad-pod-identity-controller');
    const holder = String(at(lease, 'spec', 'holderIdentity') ?? '');
    return [...running].find((one) => holder.endsWith(`_${one.process.pid}`));
  }

  async function foreignAttach(scope: ScopeName, name: string): Promise<void> {
    const key = `${scope} ${name}`;
    // The faults are for our controller; this hand may meet them too, and then does nothing.
    const before = await foreignHand('GET', scopeIds[scope]).catch(() => undefined);
    if (stage.attached(scopeIds[scope]).includes(name) || before?.status !== 200) return;
    const claim = (await recordOf(scope))?.identities.get(idOf(name).toLowerCase())?.state;
    const type = scope === 'machine' ? 'SystemAssigned, UserAssigned' : 'UserAssigned';
    const body = { identity: { type, userAssignedIdentities: { [idOf(name)]: {} } } };
    const reply = await foreignHand('PATCH', scopeIds[scope], body, {
      headers: { 'if-match': String(before.json.etag ?? before.headers.etag) },
    }).catch(() => undefined);
    if (reply === undefined && stage.attached(scopeIds[scope]).includes(name)) model.doubtful.add(key);
    if (reply === undefined || reply.status >= 300) return;
    model.foreign.add(key);
    foreignHistory.push({ seq: emulator.log.last, what: key, attached: true });
    // An intent is dropped once its PATCH is refused, unless whoever sent it is gone or never got the answer.
    if (failing || (claim !== undefined && (claim !== 'intent' || crashed))) model.doubtful.add(key);
    else if (claim === 'intent') intended.add(key);
  }

  function crash(): void {
    crashed = true;
    for (const key of intended) model.doubtful.add(key);
  }

  async function perform(command: Command): Promise<void> {
    switch (command.do) {
      case 'make pod': {
        if (model.pods.has(command.pod)) return;
        const { pod: name, selector, node } = command;
        model.pods.set(name, { selector, node });
        const metadata = { name, labels: { [bindingLabel]: selector }, annotations: { 'aadpodidentity.k8s.io/status': '{}' } };
        const spec = { nodeName: node, containers: [{ name: 'app', image: 'app' }] };
        await create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec }, 'default');
        return;
      }
      case 'remove pod':
        model.pods.delete(command.pod);
        await remove(at1(pods, command.pod));
        return;
      case 'relabel pod': {
        const pod = model.pods.get(command.pod);
        if (pod === undefined) return;
        pod.selector = command.selector;
        const body = { metadata: { labels: { [bindingLabel]: command.selector } } };
        await patiently(() => client.call('PATCH', at1(pods, command.pod), { contentType: mergePatch, body }), isConflict);
        return;
      }
      case 'set binding':
        model.bindings.set(command.binding, command);
        await put(azureIdentityBindings, command.binding, {
          ...meta('AzureIdentityBinding'),
          spec: { azureIdentity: command.identity, selector: command.selector },
        });
        return;
      case 'remove binding':
        model.bindings.delete(command.binding);
        await remove(at1(azureIdentityBindings, command.binding));
        return;
      case 'set identity':
        model.identities.set(command.identity, command.azure);
        await put(azureIdentities, command.identity, { ...meta('AzureIdentity'), spec: { type: 0, resourceID: idOf(command.azure) } });
        return;
      case 'remove identity':
        model.identities.delete(command.identity);
        await remove(at1(azureIdentities, command.identity));
        return;
      case 'make node': {
        model.nodes.add(command.node);
        const spec = { providerID: providerIdOf(command.node) };
        await create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name: command.node }, spec });
        return;
      }
      case 'remove node':
        model.nodes.delete(command.node);
        await remove(resourcePath(nodes, { name: command.node }));
        return;
      case 'foreign attach':
        return foreignAttach(command.scope, command.azure);
      case 'foreign detach': {
        const key = `${command.scope} ${command.azure}`;
        model.foreign.delete(key);
        foreignHistory.push({ seq: emulator.log.last, what: key, attached: false });
        await emulator.act({ do: 'wipe', resource: scopeIds[command.scope], identities: [idOf(command.azure)] });
        return;
      }
      case 'fault':
        if (['reset', 'half-open', 'operation', 'answer'].includes(String(command.fault.fault))) crash();
        if (command.fault.fault === 'operation') failing = true;
        emulator.addFault(command.fault);
        return;
      case 'pause record': {
        const path = at1(configMaps, scopeRecordName(scopeIds[command.scope]));
        const edit = (paused: string | null) =>
          patiently(
            () => client.call('PATCH', path, { contentType: mergePatch, body: { data: { paused } } }),
            (error) => isConflict(error) || isNotFound(error),
          );
        await edit('true');
        await delay(50);
        await edit(null);
        return;
      }
      case 'kill leader':
      case 'stop leader': {
        const current = await leader();
        if (current === undefined) return;
        if (command.do === 'kill leader') crash();
        crashed = true;
        running.delete(current);
        await current.end(command.do === 'kill leader' ? 'SIGKILL' : 'SIGTERM');
        await start();
        return;
      }
      case 'freeze leader': {
        const current = await leader();
        if (current === undefined) return;
        crash();
        current.process.kill('SIGSTOP');
        await delay(3_500);
        current.process.kill('SIGCONT');
        return;
      }
      case 'restart API server':
        await stage.plane.restartApiServer();
        return;
      case 'wait':
        await delay(command.ms);
        return;
    }
  }

  async function differences(): Promise<string[]> {
    const found: string[] = [];
    const expected = expectedAssignments(model);
    const actual = [...stage.assigned.values()].sort((a, b) => (String(a.metadata.name) < String(b.metadata.name) ? -1 : 1));
    const names = (list: { name?: string | undefined }[]) => list.map(({ name }) => name).join(' ');
    if (names(expected) !== names(actual.map(({ metadata }) => metadata)))
      found.push(`objects: expected [${names(expected)}], there are [${names(actual.map(({ metadata }) => metadata))}]`);
    for (const { name, status, binding } of expected) {
      const object = stage.assigned.get(`default/${name}`);
      if (object === undefined) continue;
      if (object.metadata.deletionTimestamp !== undefined) found.push(`${name} is being deleted`);
      if (status !== undefined && statusOf(object) !== status)
        found.push(`${name}: expected ${status}, is ${statusOf(object)} ${JSON.stringify(object.metadata.annotations)}`);
      if (object.spec?.azureBindingRef?.metadata.name !== binding) found.push(`${name}: expected binding ${binding}`);
    }
    const wanted = expectedAttached(model);
    for (const scope of scopeNames) {
      const attached = new Set(stage.attached(scopeIds[scope]));
      const entries = (await recordOf(scope))?.identities ?? new Map();
      for (const name of azureNames) {
        const key = `${scope} ${name}`;
        const entry = entries.get(idOf(name).toLowerCase());
        const must = wanted.has(key) || (model.foreign.has(key) && !model.doubtful.has(key));
        if (must && !attached.has(name)) found.push(`${key} is not attached`);
        if (!must && !model.doubtful.has(key) && attached.has(name)) found.push(`${key} is attached, though nothing needs it`);
        if (model.doubtful.has(key)) continue;
        const ours = attached.has(name) && !model.foreign.has(key);
        if (ours !== (entry !== undefined) || (entry !== undefined && entry.state !== 'owned'))
          found.push(`record of ${key}: ${entry?.state ?? 'none'}, attached ${attached.has(name)}, foreign ${model.foreign.has(key)}`);
      }
    }
    if (emulator.state().resources.get(scopeIds.machine.toLowerCase())?.identity.system == null)
      found.push('the system-assigned identity is gone');
    return found;
  }

  /** From the ordered log: what did our PATCHes take away that was somebody else's? */
  function stolen(): string[] {
    const found: string[] = [];
    for (const entry of emulator.log.list(begun)) {
      if (!isOurPatch(entry)) continue;
      const scope = scopeNames.find((name) => entry.path.toLowerCase().includes(scopeIds[name].toLowerCase()));
      const map = at(entry.body, 'identity', 'userAssignedIdentities');
      const type = String(at(entry.body, 'identity', 'type'));
      const removed = type.includes('UserAssigned')
        ? Object.entries(map ?? {}).flatMap(([id, value]) => (value === null ? [id] : []))
        : azureNames.map(idOf);
      for (const id of removed) {
        const key = `${scope} ${azureNames.find((name) => idOf(name).toLowerCase() === id.toLowerCase())}`;
        const last = foreignHistory.filter(({ what, seq }) => what === key && seq < entry.seq).at(-1);
        if (last?.attached === true && !model.doubtful.has(key)) found.push(`PATCH ${entry.seq} took away ${key}, which is foreign`);
      }
    }
    return found;
  }

  return {
    get model() {
      return model;
    },
    async play(history) {
      for (const command of history) await perform(command);
    },
    async rest() {
      emulator.removeFaults();
      let found: string[] = [];
      for (const deadline = Date.now() + 45_000; Date.now() < deadline; await delay(40)) {
        found = await differences();
        if (found.length === 0) break;
      }
      return [...found, ...stolen()];
    },
    async clear() {
      model.pods.clear();
      await Promise.all(podNames.map((name) => remove(at1(pods, name))));
    },
    async reset() {
      emulator.removeFaults();
      for (const [resource, names] of [
        [azureIdentityBindings, bindingNames],
        [azureIdentities, identityNames],
      ] as const)
        await Promise.all(names.map((name) => remove(at1(resource, name))));
      // What nobody knows the owner of stays until the foreign hand takes it.
      for (const scope of scopeNames)
        await emulator.act({
          do: 'wipe',
          resource: scopeIds[scope],
          identities: azureNames.filter((name) => name !== 'foreign' && name !== 'absent').map(idOf),
        });
      model = emptyModel();
      intended = new Set();
      crashed = false;
      failing = false;
      for (const node of nodeNames) await perform({ do: 'make node', node });
      for (const scope of scopeNames) await foreignAttach(scope, 'foreign');
      begun = emulator.log.last;
      foreignHistory = scopeNames.map((scope) => ({ seq: begun, what: `${scope} foreign`, attached: true }));
      for (const [index, identity] of identityNames.entries())
        await perform({ do: 'set identity', identity, azure: azureNames[index] ?? 'red' });
      for (const [index, binding] of bindingNames.entries())
        await perform({ do: 'set binding', binding, identity: identityNames[index % 4] ?? 'i0', selector: `s${index % 3}` });
    },
    stop: () => stage.stop(),
  };
}

/** The API server may be restarting; `fine` are answers that mean it is so already. */
async function patiently(work: () => Promise<unknown>, fine: (error: unknown) => boolean): Promise<void> {
  for (const deadline = Date.now() + 20_000; ; await delay(50)) {
    try {
      await work();
      return;
    } catch (error) {
      if (fine(error)) return;
      if (Date.now() > deadline) throw error;
    }
  }
}

function isOurPatch(entry: LogEntry): entry is Extract<LogEntry, { kind: 'request' }> {
  if (entry.kind !== 'request' || entry.service !== 'arm' || entry.method !== 'PATCH') return false;
  // The foreign hand of the tests names no client.
  return JSON.stringify(entry.headers).toLowerCase().includes('user-agent') && (entry.status ?? 0) < 300;
}
