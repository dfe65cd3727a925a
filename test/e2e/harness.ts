// The product as a platform team runs it: the chart in a namespace of its own in the real cluster, pods in others, and ways to ask them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readJwt } from '../azure/core/jwt.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { up } from '../cluster/cluster.ts';
import { currentImages } from '../cluster/images.ts';
import { mustRun } from '../cluster/run.ts';
import { azureState, providerID } from '../demo/azure.ts';
import { chartValues } from '../demo/chart-values.ts';
import { listOf } from './fixtures.ts';

const chart = path.resolve(import.meta.dirname, '../../charts/aad-pod-identity-webhook');
export const system = 'identity-system';
export const imds = 'http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=';
export const vault = 'https://vault.azure.net';

export type Product = Awaited<ReturnType<typeof startProduct>>;

/** The returned function runs kubectl and returns its output; it throws where that fails. */
export function kubectlOf(cluster: Cluster) {
  return async (args: string[], input?: string): Promise<string> => {
    const { stdout, stderr, code } = await cluster.kubectl(args, { timeoutSeconds: 90, ...(input === undefined ? {} : { input }) });
    assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}${stdout}`);
    return stdout;
  };
}

export interface ProductOptions {
  /** Values of the chart for every install and upgrade, beside those of the demo. */
  set?: readonly string[];
  userNamespaces?: boolean;
}

export async function startProduct(name: string, log: (line: string) => void, { set = [], userNamespaces = false }: ProductOptions = {}) {
  const images = await currentImages(log);
  const cluster = await up({ name, log, images: Object.values(images), providerID, azureState: azureState(1_000), userNamespaces });
  const values = chartValues(cluster, images, { armPollInterval: 500 });

  const settings = set.flatMap((value) => ['--set', value]);
  const kubectl = kubectlOf(cluster);
  /** `install` or `upgrade`; resolves once everything is ready. */
  const helm = async (command: 'install' | 'upgrade', ...more: string[]): Promise<string> => {
    const args = [
      command,
      'webhook',
      chart,
      '-n',
      system,
      '--create-namespace',
      '-f',
      '-',
      '--wait',
      '--timeout',
      '90s',
      ...settings,
      ...more,
    ];
    const { stdout, stderr, code } = await cluster.helm(args, { input: values, timeoutSeconds: 100 });
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const exec = (pod: string, command: string[], input?: string) =>
    kubectl(['exec', ...(input === undefined ? [] : ['-i']), pod, '-c', 'app', '--', ...command], input);
  const json = async (args: string[]): Promise<unknown> => JSON.parse(await kubectl([...args, '-o', 'json']));
  /** The whole answer of the metadata service, asked inside the pod. */
  const ask = async (pod: string, query: string): Promise<Record<string, unknown>> =>
    JSON.parse(await exec(pod, ['curl', '-s', '-m', '60', '-H', 'Metadata: true', `${imds}${query}`]));
  /** Application id of the token that the pod gets. */
  const appOf = async (pod: string, query = vault): Promise<unknown> => {
    const answer = await ask(pod, query);
    return typeof answer.access_token === 'string' ? readJwt(answer.access_token)?.claims.appid : answer;
  };
  const apply = (...objects: unknown[]) => kubectl(['apply', '-f', '-'], listOf(objects));
  const ready = (...what: string[]) => kubectl(['wait', '--for=condition=Ready', ...what, '--timeout=60s']);
  /** Names of the user-assigned identities on the scale set, as Azure has them. */
  const attached = async (): Promise<string[]> => {
    const state = (await (await fetch(`${cluster.emulatorControlUrl}/state`)).json()) as {
      scaleSets: { identity: { ids: (string | { id: string })[] } }[];
    };
    const ids = state.scaleSets[0]?.identity.ids ?? [];
    return ids.map((entry) => (typeof entry === 'string' ? entry : entry.id).split('/').at(-1)?.toLowerCase() ?? '').sort();
  };
  /** Runs what a page of the documentation tells its reader to type. */
  const shell = (line: string): Promise<string> => {
    const PATH = `${path.dirname(cluster.kubectlProgram)}:${process.env.PATH}`;
    return mustRun('sh', ['-c', line], { env: { KUBECONFIG: cluster.kubeconfig, PATH }, timeoutSeconds: 90 });
  };
  return { cluster, images, kubectl, helm, exec, json, ask, appOf, apply, ready, attached, shell };
}

/** MiB of resident memory. */
export const residentOf = (pid: number): number => memoryOf(pid, /^VmRSS:\s+(\d+) kB$/m);
/** The most that it ever was. */
export const peakResidentOf = (pid: number): number => memoryOf(pid, /^VmHWM:\s+(\d+) kB$/m);

function memoryOf(pid: number, line: RegExp): number {
  return Number(line.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

export async function eventually<T>(what: string, look: () => Promise<T>, good: (seen: T) => boolean, seconds = 60): Promise<T> {
  for (const deadline = Date.now() + seconds * 1000; ; await delay(200)) {
    const seen = await look();
    if (good(seen)) return seen;
    if (Date.now() > deadline) assert.fail(`not within ${seconds} s: ${what}; last seen ${JSON.stringify(seen)}`);
  }
}
