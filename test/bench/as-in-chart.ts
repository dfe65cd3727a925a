// The bundle of the image, with the node flags and variables of the chart.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { bundle } from '../../tools/build.ts';
import type { NodeProgram } from '../harness/program.ts';

export async function asInChart(name: 'controller' | 'broker' | 'webhook'): Promise<NodeProgram & { file: string }> {
  const { outfile } = await bundle(name, { write: true });
  const root = path.resolve(import.meta.dirname, '../..');
  const template = readFileSync(path.join(root, `charts/aad-pod-identity-webhook/templates/${name}.yaml`), 'utf8');
  const flags = new RegExp(`command: \\[node, (.*, )?/app/${name}\\.cjs\\]`).exec(template)?.[1] ?? '';
  const env = [...template.matchAll(/name: (MALLOC_\w+), value: "(\w+)"/g)].map(([, variable = '', value = '']) => [variable, value]);
  return { nodeFlags: flags.split(', ').filter((flag) => flag !== ''), file: outfile, env: Object.fromEntries(env) };
}
