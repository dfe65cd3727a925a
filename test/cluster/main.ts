// `npm run cluster -- up|down|status [--name NAME]`
import { parseArgs } from 'node:util';
import { chartValues } from '../demo/chart-values.ts';
import type { Cluster } from './cluster.ts';
import { attach, running, tearDown, up } from './cluster.ts';
import { currentImages } from './images.ts';
import { MissingRequirements, missingForCluster } from './requirements.ts';
import { variablesOf, writeValues } from './shell.ts';
import { clusterNames, clusterPlaces } from './state.ts';

const usage = `Usage: npm run cluster -- up|down|status [--name NAME] [--bare]

A real one-node Kubernetes cluster on this machine, with the Azure emulator as its IMDS, ARM and Entra. Linux, root.

  up        starts it; says how to use it
  down      ends it, or what a killed run left of it
  status    lists the clusters that are up

  --name NAME   default "dev"; clusters of different names run side by side
  --bare        up: without this repository's images
  --help        this text
`;

const log = (line: string) => console.error(line);

/** An identity of the emulator's default state that is attached to no machine. */
const writer =
  '/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/nodes/providers/Microsoft.ManagedIdentity/userAssignedIdentities/writer';
const started = Date.now();
const seconds = () => `${((Date.now() - started) / 1000).toFixed(1)} s`;

/** A shell can evaluate what is printed: docs/first-pod.md. */
function describe(cluster: Cluster): void {
  for (const [name, value] of Object.entries(variablesOf(cluster, writer))) console.log(`export ${name}='${value}'`);
  console.log(`# emulator:  ${cluster.emulatorControlUrl}`);
  console.log(`# logs:      ${cluster.folder}/logs`);
  for (const image of cluster.images) console.log(`# image:     ${image}`);
}

async function runUp(name: string, bare: boolean): Promise<void> {
  const up_ = running(name);
  if (up_ !== undefined) {
    log(`cluster "${name}" is up already`);
    return describe(attach(name));
  }
  const missing = await missingForCluster();
  if (missing.length > 0) throw new MissingRequirements('the cluster', missing);
  const images = bare ? undefined : await currentImages(log);
  const cluster = await up({ name, log, images: Object.values(images ?? {}), owner: 'nobody' });
  if (images !== undefined) writeValues(cluster, chartValues(cluster, images));
  log(`cluster "${name}" is up after ${seconds()}`);
  describe(cluster);
}

async function runDown(name: string): Promise<void> {
  const found = await tearDown(name, log);
  log(found ? `cluster "${name}" is down after ${seconds()}` : `there is no cluster "${name}"`);
}

function runStatus(): void {
  const names = clusterNames();
  if (names.length === 0) console.log('no cluster');
  for (const name of names) {
    const record = running(name);
    const what =
      record === undefined
        ? `not up: a leftover, or starting (npm run cluster -- down --name ${name} removes it)`
        : `up at ${record.server}`;
    console.log(`${name}: ${what}`);
    if (record !== undefined) describe(attach(name));
  }
}

async function main(): Promise<void> {
  const options = {
    name: { type: 'string', default: 'dev' },
    bare: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  } as const;
  const { values, positionals } = parseArgs({ args: process.argv.slice(2), options, allowPositionals: true });
  const [command, ...rest] = positionals;
  if (values.help) return void process.stdout.write(usage);
  if (rest.length > 0) throw new Error(`unexpected "${rest[0]}"; one of up, down, status is accepted`);
  clusterPlaces(values.name);
  if (command === 'up') return runUp(values.name, values.bare);
  if (command === 'down') return runDown(values.name);
  if (command === 'status') return runStatus();
  throw new Error(
    `${command === undefined ? 'no command' : `unknown command "${command}"`}; one of up, down, status is accepted (--help has more)`,
  );
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message.replace(/\. To specify a positional.*/s, '; --help lists what is known') : error);
  process.exitCode = 1;
});
