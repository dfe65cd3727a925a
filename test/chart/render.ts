// The chart through the real helm.
import path from 'node:path';
import { loadAllYaml } from '@kubernetes/client-node';
import { isRecord, stringAt } from '../../lib/kube/objects.ts';
import { findHelm } from '../cluster/binaries.ts';
import type { Result } from '../cluster/run.ts';
import { run } from '../cluster/run.ts';

export const chart = path.resolve(import.meta.dirname, '../../charts/aad-pod-identity-webhook');

export type KubeObject = Record<string, unknown>;

let found: Promise<string> | undefined;

export async function helm(...args: string[]): Promise<Result> {
  found ??= findHelm((line) => console.log(line));
  return run(await found, args, { timeoutSeconds: 60 });
}

/** What the chart has no default for. Nobody pulls these images. */
export const required = [
  '--set',
  'image.controlPlane.repository=registry.test/control-plane,image.sidecar.repository=registry.test/sidecar,adminsecret.useMSI=true',
];

export const template = (...args: string[]): Promise<Result> => templateOf(chart, ...args);

function templateOf(folder: string, ...args: string[]): Promise<Result> {
  // Without a cluster helm would assume the version it was built for.
  return helm('template', 'webhook', folder, '--namespace', 'system', '--kube-version', '1.36.3', ...required, ...args);
}

/** Throws with helm's own words when the values are refused. */
export const render = (...args: string[]): Promise<KubeObject[]> => renderChart(chart, ...args);

/** The same for a changed copy of the chart. */
export async function renderChart(folder: string, ...args: string[]): Promise<KubeObject[]> {
  const { code, stdout, stderr } = await templateOf(folder, ...args);
  if (code !== 0) throw new Error(stderr);
  // client-node makes instances of its classes of the kinds it knows.
  const plain: unknown = JSON.parse(JSON.stringify(loadAllYaml(stdout)));
  return Array.isArray(plain) ? plain.filter(isRecord) : [];
}

export function find(objects: readonly KubeObject[], kind: string, name: string): KubeObject {
  const object = objects.find((one) => one.kind === kind && stringAt(one, 'metadata', 'name') === name);
  if (object === undefined) throw new Error(`no ${kind} ${name} was rendered`);
  return object;
}

export function podOf(
  objects: readonly KubeObject[],
  deployment: string,
): { labels: Record<string, string>; annotations: Record<string, string>; spec: KubeObject } {
  const { spec } = find(objects, 'Deployment', deployment) as {
    spec: { template: { metadata: { labels: Record<string, string>; annotations: Record<string, string> }; spec: KubeObject } };
  };
  return { ...spec.template.metadata, spec: spec.template.spec };
}

/** Variables of the one container of a Deployment, without those from the downward API. */
export function environmentOf(objects: readonly KubeObject[], deployment: string): Record<string, string> {
  const { containers } = podOf(objects, deployment).spec as { containers: { env: { name: string; value?: string }[] }[] };
  const entries = (containers[0]?.env ?? []).flatMap(({ name, value }) => (value === undefined ? [] : [[name, value] as const]));
  return Object.fromEntries(entries);
}
