// The controller as a process, with settings that make it quick and lead it to the control plane and the emulator of a test.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Emulator } from '../../../azure/emulator.ts';
import type { ControlPlane } from '../../../cluster/control-plane.ts';
import { programFile } from '../../../harness/bundles.ts';
import type { NodeProgram, RunningProgram } from '../../../harness/program.ts';
import { startProgram } from '../../../harness/program.ts';
import { app, tenant } from '../../azure/fixtures.ts';

export interface Controllers {
  /** Resolves when it serves its probes. Flags win over the settings of the harness. */
  startController(flags?: string[], program?: NodeProgram): Promise<RunningProgram>;
  /** Ends all that still run. */
  stop(): Promise<void>;
}

export async function prepareControllers(plane: ControlPlane, emulator: Emulator): Promise<Controllers> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'controller-'));
  await writeFile(path.join(folder, 'ca.pem'), emulator.ca);
  await writeFile(path.join(folder, 'secret'), app.secret);
  const settings = {
    kubeconfig: plane.kubeconfig,
    namespace: 'default',
    'probes-listen': '127.0.0.1:0',
    'metrics-listen': '127.0.0.1:0',
    'arm-endpoint': emulator.urls.arm,
    'entra-endpoint': emulator.urls.entra,
    'imds-endpoint': emulator.urls.imds,
    'azure-ca-file': path.join(folder, 'ca.pem'),
    'tenant-id': tenant,
    'client-id': app.clientId,
    'client-secret-file': path.join(folder, 'secret'),
    // Tests write to one set more often than Azure allows.
    'scope-write-burst': '10000',
    'arm-poll-interval': '50',
    'identity-detach-delay': '0',
    'collect-quiet': '50',
    'collect-max': '200',
    'lease-duration': '3',
    'lease-renew': '2',
    'lease-retry': '1',
    'client-qps': '1000',
  };
  const started = new Set<RunningProgram>();
  return {
    async startController(flags = [], { file, nodeFlags = [], env = {} } = {}) {
      const args = Object.entries(settings).map(([name, value]) => `--${name}=${value}`);
      const controller = startProgram({
        name: 'controller',
        command: [process.execPath, ...nodeFlags, file ?? (await programFile('controller')), ...args, ...flags],
        env: { ...process.env, ...env },
      });
      started.add(controller);
      await controller.logged((record) => record.msg === 'started');
      return controller;
    },
    async stop() {
      await Promise.all([...started].map((controller) => controller.stop('SIGKILL')));
      await rm(folder, { recursive: true });
    },
  };
}
