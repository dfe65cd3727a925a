// The controller's client for Azure, made from settings as main does it, against the emulator.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import pino from 'pino';
import type { ArmFailure } from '../../../controller/azure/arm/errors.ts';
import { ArmError } from '../../../controller/azure/arm/errors.ts';
import type { Write } from '../../../controller/azure/arm/identity-map.ts';
import type { AzureSettings } from '../../../controller/azure/connect.ts';
import { connectAzure } from '../../../controller/azure/connect.ts';
import type { Scope } from '../../../lib/azure/resource-ids.ts';
import { scopeOfId } from '../../../lib/azure/resource-ids.ts';
import type { Emulator } from '../../azure/emulator.ts';
import { app, idOf, smallAzure, tenant } from '../azure/fixtures.ts';
import type { TestContext } from '../azure/harness.ts';
import { emulate } from '../azure/harness.ts';

/** Quick operations, and none of the request limits that a quick test would run into. */
export function quickAzure(arm: Record<string, unknown> = {}, changes: Record<string, unknown> = {}): Record<string, unknown> {
  return smallAzure({ settings: { limits: { imds: false, arm: false }, arm: { operationMs: 40, ...arm } }, ...changes });
}

export interface Connected {
  emulator: Emulator;
  compute: ReturnType<typeof connectAzure>['compute'];
  federatedCredentials: ReturnType<typeof connectAzure>['federatedCredentials'];
  /** Every record that was logged, as text. */
  logged: string[];
}

const bySecret = (folder: string): Partial<AzureSettings> => ({
  tenantId: tenant,
  clientId: app.clientId,
  clientSecretFile: path.join(folder, 'secret'),
});

export async function connected(
  t: TestContext,
  state: Record<string, unknown> = quickAzure(),
  settings: (emulator: Emulator, folder: string) => Partial<AzureSettings> = (_, folder) => bySecret(folder),
): Promise<Connected> {
  const emulator = await emulate(t, { state, running: true });
  const folder = await mkdtemp(path.join(os.tmpdir(), 'azure-client-'));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(path.join(folder, 'ca.pem'), emulator.ca);
  await writeFile(path.join(folder, 'secret'), app.secret);
  const logged: string[] = [];
  const { compute, federatedCredentials } = connectAzure(
    {
      cloud: 'AzurePublicCloud',
      cloudConfig: '',
      azureEnvironmentFilepath: '',
      customUserAgent: '',
      armEndpoint: emulator.urls.arm,
      entraEndpoint: emulator.urls.entra,
      imdsEndpoint: emulator.urls.imds,
      azureCaFile: path.join(folder, 'ca.pem'),
      armApiVersion: '',
      armPollInterval: 10,
      tenantId: '',
      clientId: '',
      clientSecretFile: '',
      clientCertificateFile: '',
      clientCertificatePasswordFile: '',
      federatedTokenFile: '',
      useMsi: false,
      userAssignedMsiClientId: '',
      ...settings(emulator, folder),
    },
    pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) }),
    {},
  );
  return { emulator, compute, federatedCredentials, logged };
}

export function scopeOf(id: string): Scope {
  const scope = scopeOfId(id);
  assert.ok(scope, id);
  return scope;
}

export const identity = (name: string): string => idOf(name).toLowerCase();

export const attach = (...names: string[]): Write => ({ attach: names.map(identity), detach: [] });
export const detach = (...names: string[]): Write => ({ attach: [], detach: names.map(identity) });

export async function failureOf(promise: Promise<unknown>): Promise<ArmFailure> {
  return (await errorOf(promise)).failure;
}

export async function errorOf(promise: Promise<unknown>): Promise<ArmError> {
  const error = await promise.then(
    () => assert.fail('it did not fail'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof ArmError, String(error));
  return error;
}

/** Requests that ARM got, in order. */
export function requests(emulator: Emulator, method?: string) {
  return emulator.log
    .list()
    .flatMap((entry) => (entry.kind === 'request' && entry.service === 'arm' && (method ?? entry.method) === entry.method ? [entry] : []));
}
