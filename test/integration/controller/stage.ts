// The real controller as a process, between the real API server and the Azure emulator. Nodes and pods are plain objects: nobody runs them.
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { AzureAssignedIdentity } from '../../../api/kinds.ts';
import { annotations, bindingLabel } from '../../../api/names.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { connect } from '../../../lib/kube/client.ts';
import { isNotFound } from '../../../lib/kube/errors.ts';
import type { Informer } from '../../../lib/kube/informer.ts';
import { startInformer } from '../../../lib/kube/informer.ts';
import { at, isRecord, stringAt } from '../../../lib/kube/objects.ts';
import { azureAssignedIdentities, azureIdentities, azureIdentityBindings, nodes, pods, resourcePath } from '../../../lib/kube/resources.ts';
import { silentLogger } from '../../../lib/log.ts';
import type { Emulator } from '../../azure/emulator.ts';
import { startEmulator } from '../../azure/emulator.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { startControlPlane } from '../../cluster/control-plane.ts';
import { run } from '../../cluster/run.ts';
import { app, idOf, pool1, smallAzure, tenant } from '../azure/support.ts';

const root = path.resolve(import.meta.dirname, '../../..');
export const crdFolder = path.join(root, 'charts/aad-pod-identity-webhook/crds');

/** How it is started where not from its source. */
export interface ControllerProgram {
  nodeFlags: string[];
  file: string;
  env: Record<string, string>;
}

export interface ControllerProcess {
  readonly process: ChildProcess;
  /** Resolves with the first log record that fits, also an earlier one; rejects after 30 s without. */
  logs(fits: (record: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>;
  /** Signals it and waits for its end. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface Stage {
  plane: ControlPlane;
  client: KubeClient;
  emulator: Emulator;
  /** All AzureAssignedIdentities as they are now. */
  assigned: Informer<AzureAssignedIdentity>;
  startController(flags?: string[], program?: ControllerProgram): Promise<ControllerProcess>;
  makeNode(name: string, providerID: string): Promise<void>;
  makeIdentity(name: string, spec?: Record<string, unknown>, metadata?: Record<string, unknown>): Promise<void>;
  makeBinding(name: string, identity: string, selector: string, namespace?: string): Promise<void>;
  /** Scheduled to a node and, unless told otherwise, injected. */
  makePod(name: string, selector: string, options?: { node?: string; namespace?: string; injected?: boolean }): Promise<void>;
  /** At once, as when its containers have ended. */
  removePod(name: string, namespace?: string): Promise<void>;
  /** Names of the identities that the set carries. */
  attached(scope?: string): string[];
  /** Resolves once the condition holds; looks at every change of an assignment or of Azure. */
  until(condition: () => boolean, what: string): Promise<void>;
  /** PATCHes that ARM got so far. */
  patches(): number;
  stop(): Promise<void>;
}

export const statusOf = (assigned: AzureAssignedIdentity | undefined): string => assigned?.status?.status ?? '';

/** `changes`: of the emulator's state document. `withKinds`: our CRDs are installed. `apiServerFlags`: more of them, without dashes. */
export async function setStage(
  changes: Record<string, unknown> = {},
  { withKinds = true, apiServerFlags = {} }: { withKinds?: boolean; apiServerFlags?: Record<string, string> } = {},
): Promise<Stage> {
  const settings = { limits: { imds: false, arm: false }, arm: { operationMs: 50 } };
  const [plane, emulator] = await Promise.all([
    startControlPlane({ apiServerFlags }),
    startEmulator({
      state: smallAzure({
        scaleSets: [{ name: 'Pool1', instances: 2, identity: { type: 'UserAssigned', ids: ['third'] } }],
        virtualMachines: [{ name: 'alone', identity: { type: 'SystemAssigned' } }],
        settings,
        ...changes,
      }),
    }),
  ]);
  const client = connect({ kubeconfig: plane.kubeconfig, userAgent: 'test', qps: 2_000 });
  const folder = await mkdtemp(path.join(os.tmpdir(), 'controller-'));
  await writeFile(path.join(folder, 'ca.pem'), emulator.ca);
  await writeFile(path.join(folder, 'secret'), app.secret);

  if (withKinds) {
    for (const file of await readdir(crdFolder)) await mustApply(plane, await readFile(path.join(crdFolder, file), 'utf8'));
    await mustApply(plane, '', ['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s']);
  }

  const processes = new Set<ControllerProcess>();
  const assigned = startInformer<AzureAssignedIdentity>({
    client,
    log: silentLogger,
    resource: azureAssignedIdentities,
    project: (raw) => (isRecord(raw) && isRecord(raw.metadata) ? { ...raw, metadata: raw.metadata } : undefined),
  });
  if (withKinds) await assigned.whenSynced();

  const post = (resource: typeof pods, body: Record<string, unknown>, namespace?: string) =>
    client.call('POST', resourcePath(resource, namespace === undefined ? {} : { namespace }), { body });

  return {
    plane,
    client,
    emulator,
    assigned,
    async startController(flags = [], program = fromSource) {
      const started = startController(plane, emulator, folder, flags, program);
      processes.add(started);
      await started.logs((record) => record.msg === 'started');
      return started;
    },
    async makeNode(name, providerID) {
      await post(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: { providerID } });
    },
    async makeIdentity(name, spec = {}, metadata = {}) {
      const body = {
        apiVersion: 'aadpodidentity.k8s.io/v1',
        kind: 'AzureIdentity',
        metadata: { name, ...metadata },
        spec: { type: 0, resourceID: idOf(name), ...spec },
      };
      await post(azureIdentities, body, String(metadata.namespace ?? 'default'));
    },
    async makeBinding(name, identity, selector, namespace = 'default') {
      const body = {
        apiVersion: 'aadpodidentity.k8s.io/v1',
        kind: 'AzureIdentityBinding',
        metadata: { name },
        spec: { azureIdentity: identity, selector },
      };
      await post(azureIdentityBindings, body, namespace);
    },
    async makePod(name, selector, { node = 'node-0', namespace = 'default', injected = true } = {}) {
      const metadata = { name, labels: { [bindingLabel]: selector }, ...(injected ? { annotations: { [annotations.status]: '{}' } } : {}) };
      await post(
        pods,
        { apiVersion: 'v1', kind: 'Pod', metadata, spec: { nodeName: node, containers: [{ name: 'app', image: 'app' }] } },
        namespace,
      );
    },
    async removePod(name, namespace = 'default') {
      await client.call('DELETE', resourcePath(pods, { namespace, name }), { body: { gracePeriodSeconds: 0 } });
    },
    attached: (scope = pool1) => {
      const resource = emulator.state().resources.get(scope.toLowerCase());
      return Object.keys(resource?.identity.user ?? {})
        .map((id) => id.split('/').at(-1) ?? '')
        .sort();
    },
    async until(condition, what) {
      const changed = Promise.withResolvers<void>();
      const check = () => {
        if (condition()) changed.resolve();
      };
      const off = assigned.onChange(check);
      // Azure's changes have no listener that could leave again, so they are looked at often.
      const timer = setInterval(check, 20);
      const limit = setTimeout(() => changed.reject(new Error(`not after 30 s: ${what}`)), 30_000);
      check();
      try {
        await changed.promise;
      } finally {
        off();
        clearInterval(timer);
        clearTimeout(limit);
      }
    },
    patches: () =>
      emulator.log.list().filter((entry) => entry.kind === 'request' && entry.service === 'arm' && entry.method === 'PATCH').length,
    async stop() {
      await Promise.all([...processes].map((one) => one.end('SIGKILL')));
      await assigned.stop();
      await client.close();
      await Promise.all([plane.stop(), emulator.stop()]);
      await rm(folder, { recursive: true });
    },
  };
}

async function mustApply(plane: ControlPlane, manifest: string, args = ['apply', '-f', '-']): Promise<void> {
  const { code, stderr } = await run(plane.kubectl, args, { env: { KUBECONFIG: plane.kubeconfig }, input: manifest, timeoutSeconds: 60 });
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
}

const fromSource: ControllerProgram = { nodeFlags: [], file: path.join(root, 'controller/main.ts'), env: {} };

function startController(
  plane: ControlPlane,
  emulator: Emulator,
  folder: string,
  flags: string[],
  program: ControllerProgram,
): ControllerProcess {
  const settings = {
    kubeconfig: plane.kubeconfig,
    namespace: 'default',
    'broker-listen': '127.0.0.1:0',
    'probes-listen': '127.0.0.1:0',
    'metrics-listen': '127.0.0.1:0',
    'arm-endpoint': emulator.urls.arm,
    'entra-endpoint': emulator.urls.entra,
    'imds-endpoint': emulator.urls.imds,
    'azure-ca-file': path.join(folder, 'ca.pem'),
    'tenant-id': tenant,
    'client-id': app.clientId,
    'client-secret-file': path.join(folder, 'secret'),
    'arm-poll-interval': '50',
    'identity-linger': '0',
    'collect-quiet': '50',
    'collect-max': '200',
    'lease-duration': '3',
    'lease-renew': '2',
    'lease-retry': '1',
    'client-qps': '1000',
  };
  const args = [...Object.entries(settings).map(([name, value]) => `--${name}=${value}`), ...flags];
  // The kernel ends it with the test, so that a killed test leaves none behind.
  const command = ['--pdeathsig', 'KILL', process.execPath, ...program.nodeFlags, program.file, ...args];
  const child = spawn('setpriv', command, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...program.env } });
  const records: Record<string, unknown>[] = [];
  const waits: {
    fits(record: Record<string, unknown>): boolean;
    resolve(record: Record<string, unknown>): void;
    reject(error: Error): void;
  }[] = [];
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  createInterface(child.stdout).on('line', (line) => {
    const record: unknown = JSON.parse(line);
    if (!isRecord(record)) return;
    records.push(record);
    for (const wait of waits) if (wait.fits(record)) wait.resolve(record);
  });
  const ended = new Promise<number | null>((resolve) => {
    child.on('close', (code) => {
      resolve(code);
      for (const wait of waits)
        wait.reject(
          new Error(
            `the controller ended: ${said}\n${records
              .slice(-5)
              .map((record) => JSON.stringify(record))
              .join('\n')}`,
          ),
        );
    });
  });
  return {
    process: child,
    logs: (fits) =>
      new Promise((resolve, reject) => {
        const known = records.find(fits);
        if (known !== undefined) return resolve(known);
        const limit = setTimeout(() => reject(new Error(`no such log record in 30 s: ${fits}`)), 30_000);
        const settled =
          <T>(then: (value: T) => void) =>
          (value: T) => {
            clearTimeout(limit);
            then(value);
          };
        waits.push({ fits, resolve: settled(resolve), reject: settled(reject) });
      }),
    async end(signal = 'SIGTERM') {
      child.kill(signal);
      return ended;
    },
  };
}

/** True where the object is not there (any more). */
export async function isAbsent(client: KubeClient, objectPath: string): Promise<boolean> {
  try {
    await client.call('GET', objectPath);
    return false;
  } catch (error) {
    if (isNotFound(error)) return true;
    throw error;
  }
}

export const notesOf = (assigned: AzureAssignedIdentity | undefined, name: keyof typeof annotations): string | undefined =>
  assigned?.metadata.annotations?.[annotations[name]];

/** Asks until the answer is yes; for what no watch tells. */
export async function eventually(check: () => Promise<boolean>, what: string): Promise<void> {
  for (const deadline = Date.now() + 30_000; !(await check()); await delay(50)) {
    if (Date.now() > deadline) throw new Error(`not after 30 s: ${what}`);
  }
}

/** Resolves once an Event about the object is there whose `reason: note` fits. */
export function untilEvent(client: KubeClient, kind: string, name: string, pattern: RegExp): Promise<void> {
  return eventually(async () => {
    const items = at(await client.call('GET', '/apis/events.k8s.io/v1/events'), 'items');
    return (Array.isArray(items) ? items : [])
      .filter((item: unknown) => stringAt(item, 'regarding', 'kind') === kind && stringAt(item, 'regarding', 'name') === name)
      .some((item: unknown) => pattern.test(`${stringAt(item, 'reason')}: ${stringAt(item, 'note')}`));
  }, `an Event ${pattern} about ${kind} ${name}`);
}
