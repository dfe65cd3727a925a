// `npm run bench -- [NAME ...]`: measures side by side and prints tables with ratios; nothing here passes or fails by a time.
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { run } from '../cluster/run.ts';
import type { Options } from './options.ts';
import { parseOptions, UsageError } from './options.ts';
import type { Table } from './results.ts';
import { plainTable, resultsPage, thisMachine } from './results.ts';
import { takeRows } from './table.ts';

interface Bench {
  about: string;
  /** On 2 processors. */
  minutes: number;
  /** It takes so long that it runs only when it is named. */
  isLong?: true;
  load(): Promise<{ bench(options: Pick<Options, 'against' | 'webhookPath'>): Promise<void> }>;
}

const benches: Record<string, Bench> = {
  webhook: {
    about: 'admission behind a real API server, beside none and a bare one; memory',
    minutes: 4,
    load: () => import('./webhook.ts'),
  },
  sidecar: { about: 'cached tokens, start, memory, a node full of cold starts', minutes: 3, load: () => import('./sidecar.ts') },
  controller: { about: 'matching, assignment and release of many pods, memory', minutes: 4, load: () => import('./controller.ts') },
  scale: { about: 'memory of controller and broker with 50 000 pods', minutes: 9, isLong: true, load: () => import('./scale.ts') },
  federated: { about: 'first tokens, a burst, tokens from the cache of the broker', minutes: 3, load: () => import('./federated.ts') },
  soak: { about: 'memory of a sidecar over many requests and polls', minutes: 1, load: () => import('./soak.ts') },
};
const names = Object.keys(benches);
const usual = names.filter((name) => benches[name]?.isLong === undefined);
const root = path.resolve(import.meta.dirname, '../..');

const usage = `Usage: npm run bench -- [NAME ...] [--against KIND=COMMAND ...]

Measures the programs and prints a table for each bench: the figure, the same figure of something simpler in the same run, the ratio, the goal.
Without a NAME all run but the long ones, and bench/results.md is written. Nothing else should run on the machine meanwhile.

${Object.entries(benches)
  .map(([name, { about, minutes, isLong }]) => `  ${name.padEnd(11)} ${about} (${minutes} minutes${isLong ? '; only by its name' : ''})`)
  .join('\n')}

  --against KIND=COMMAND  measures another webhook, proxy or controller in the same run. COMMAND has placeholders:
                          webhook     {port} {certs} {kubeconfig}: {certs} is a folder with tls.crt, tls.key and ca.crt
                          proxy       {port} {imds}
                          controller  {kubeconfig} {arm} {entra} {ca}: {ca} is the file of the CA of the emulated Azure
  --webhook-path PATH     where the other webhook answers reviews, by default /mutate
  --help                  this text
`;

async function commitOf(): Promise<string> {
  const { stdout, code } = await run('git', ['describe', '--always', '--dirty', '--abbrev=10'], { cwd: root });
  return code === 0 ? stdout.trim() : 'unknown';
}

async function main(): Promise<void> {
  const options: Options = parseOptions(process.argv.slice(2), names, usual);
  if (options.help) return void process.stdout.write(usage);
  const tables: Table[] = [];
  for (const [index, name] of options.names.entries()) {
    console.error(`\n=== ${name} (${index + 1} of ${options.names.length}, about ${benches[name]?.minutes} minutes)`);
    const began = performance.now();
    await (await benches[name]?.load())?.bench(options);
    const table = { bench: name, seconds: (performance.now() - began) / 1000, rows: takeRows() };
    tables.push(table);
    console.log(`\n=== ${name}\n${plainTable(table.rows)}`);
  }
  if (!usual.every((name) => options.names.includes(name))) return;
  const page = resultsPage(tables, { machine: thisMachine(), commit: await commitOf(), date: new Date().toISOString().slice(0, 10) });
  await mkdir(path.join(root, 'bench'), { recursive: true });
  await writeFile(path.join(root, 'bench/results.md'), page);
  console.log('\nbench/results.md has all of it');
}

main().catch((error: unknown) => {
  console.error(error instanceof UsageError ? error.message : error);
  process.exit(error instanceof UsageError ? 2 : 1);
});
