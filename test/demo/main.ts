// `npm run demo`: the walkthrough on this machine, or with --context in a cluster of yours.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { clusterParts, up } from '../cluster/cluster.ts';
import { currentImages } from '../cluster/images.ts';
import { MissingRequirements, missingForCluster } from '../cluster/requirements.ts';
import { run } from '../cluster/run.ts';
import { azureState, identities, providerID } from './azure.ts';
import { chartValues } from './chart-values.ts';
import { privateMemoryOf } from './memory.ts';
import { note, step } from './output.ts';
import type { Target } from './walkthrough.ts';
import { DemoError, runWalkthrough } from './walkthrough.ts';

const usage = `Usage: npm run demo [-- --keep | --context NAME ...]

Starts a real one-node Kubernetes cluster with an Azure emulator on this machine, installs the chart, gives a pod an identity and shows it.

  --keep             keep the cluster at the end and print how to use it
  --name NAME        of the cluster, default "demo"
  --help             this text

In a cluster of yours instead:

  --context NAME     context of your kubeconfig; helm and kubectl must be on the PATH
  --values FILE      the chart's values: images, how the controller signs in to Azure, and controller.identityDetachDelay: 0
  --identity ID      ARM id of a user-assigned identity
  --client-id ID     its client id
  --second ID        ARM id of another one
  --app-image IMAGE  an image with sleep and curl

One step federates the identity: docs/federated-identities.md says what the cluster needs for it.
`;

const started = Date.now();
const seconds = () => ((Date.now() - started) / 1000).toFixed(1);
const log = (line: string) => console.error(`   ${line}`);

async function onThisMachine(name: string, keep: boolean): Promise<void> {
  step('Start a Kubernetes cluster on this machine, with the Azure emulator as metadata service, Resource Manager and Entra');
  const missing = await missingForCluster();
  if (missing.length > 0) throw new MissingRequirements('the demo', missing);
  const [images] = await Promise.all([currentImages(log), clusterParts(log)]);
  const cluster = await up({
    name,
    log,
    images: Object.values(images),
    owner: keep ? 'nobody' : 'process',
    providerID,
    azureState: azureState(3_000),
  });
  note(`up after ${seconds()} s`);
  try {
    const podUid = async (pod: string) => (await cluster.kubectl(['get', 'pod', pod, '-o', 'jsonpath={.metadata.uid}'])).stdout.trim();
    await runWalkthrough({
      kubectl: (args, input) => cluster.kubectl(args, input === undefined ? {} : { input }),
      helm: (args, input) => cluster.helm(args, input === undefined ? {} : { input }),
      plugin: (args) => runPlugin([...args, '--kubeconfig', cluster.kubeconfig]),
      values: chartValues(cluster, images),
      identity: identities.demo,
      secondIdentityId: identities.second.id,
      appImage: cluster.appImage,
      attached: () => attachedTo(cluster.emulatorControlUrl),
      proxyMemory: async (pod) => privateMemoryOf(await podUid(pod), 'proxy'),
    });
    if (keep) {
      step('The cluster keeps running');
      note(`export KUBECONFIG=${cluster.kubeconfig}`);
      note(`kubectl is ${cluster.kubectlProgram}`);
      note(`npm run cluster -- down --name ${name}     ends it`);
    }
  } catch (error) {
    log(`logs of the cluster's programs: ${cluster.folder}/logs (with --keep they stay)`);
    throw error;
  } finally {
    if (!keep) await cluster.down();
  }
}

const runPlugin = (args: readonly string[]) => run(process.execPath, [path.resolve(import.meta.dirname, '../../cli/main.ts'), ...args]);

/** Ids of the identities on the first scale set, asked of the emulator. */
async function attachedTo(control: string): Promise<string[]> {
  const response = await fetch(`${control}/state`);
  const state = (await response.json()) as { scaleSets: { identity: { ids: (string | { id: string })[] } }[] };
  return (state.scaleSets[0]?.identity.ids ?? []).map((entry) => (typeof entry === 'string' ? entry : entry.id));
}

async function inYourCluster(
  context: string,
  given: {
    values?: string | undefined;
    identity?: string | undefined;
    'client-id'?: string | undefined;
    second?: string | undefined;
    'app-image'?: string | undefined;
  },
): Promise<void> {
  const { values, identity, 'client-id': clientId, second, 'app-image': appImage } = given;
  if (values === undefined || identity === undefined || clientId === undefined || second === undefined || appImage === undefined)
    throw new DemoError('--context needs --values, --identity, --client-id, --second and --app-image too: see --help');
  const target: Target = {
    kubectl: (args, input) => run('kubectl', ['--context', context, ...args], input === undefined ? {} : { input }),
    helm: (args, input) => run('helm', ['--kube-context', context, ...args], input === undefined ? {} : { input }),
    plugin: (args) => runPlugin([...args, '--context', context]),
    values: readFileSync(values, 'utf8'),
    identity: { id: identity, clientId },
    secondIdentityId: second,
    appImage,
    attached: async () => undefined,
    proxyMemory: async () => undefined,
  };
  await runWalkthrough(target);
}

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      keep: { type: 'boolean', default: false },
      name: { type: 'string', default: 'demo' },
      help: { type: 'boolean', default: false },
      context: text,
      values: text,
      identity: text,
      'client-id': text,
      second: text,
      'app-image': text,
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  if (values.context === undefined) {
    // The cluster belongs to this process and ends with it.
    process.once('SIGINT', () => process.exit(130)).once('SIGTERM', () => process.exit(143));
    await onThisMachine(values.name, values.keep);
  } else await inYourCluster(values.context, values);
  console.log(`\nDone after ${seconds()} s.`);
}

main().catch((error: unknown) => {
  console.error(`\n${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
});
