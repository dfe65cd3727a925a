// The one-node cluster: it runs pods, two of them run side by side, and however one ends it leaves nothing on the machine.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { cgroupFolders } from '../cluster/cgroups.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { attach, up } from '../cluster/cluster.ts';
import type { ProcessIdentity } from '../cluster/procfs.ts';
import { identify, isAlive, processesInNamespace } from '../cluster/procfs.ts';
import { ask } from '../cluster/ready.ts';
import { missingForCluster } from '../cluster/requirements.ts';
import { clusterPlaces, readRecord } from '../cluster/state.ts';

const missing = await missingForCluster();
const skip = missing.length > 0 ? `the cluster needs ${missing.join('; ')}` : false;
const name = `e2e-${process.pid}`;
const log = (line: string) => console.error(line);

interface Seen {
  namespace: string;
  /** Every process in the cluster's network namespace or that names its folder, and its keeper. */
  processes: ProcessIdentity[];
}

/** A folder's name as a whole, not the beginning of another's. */
const names = (text: string, folder: string) => text.includes(`${folder}/`) || text.includes(`${folder}\0`);

function processesNaming(folder: string): number[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .map(Number)
    .filter((pid) => {
      try {
        return names(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), folder);
      } catch {
        return false;
      }
    });
}

/** The next namespace may get the same number, so the processes are recorded while the cluster is up. */
function look(cluster: string): Seen {
  const { folder } = clusterPlaces(cluster);
  const namespace = readRecord(folder)?.networkNamespace;
  assert.ok(namespace);
  const processes = [...new Set([...processesInNamespace(namespace), ...processesNaming(folder)])].map(identify);
  assert.ok(processes.length > 10, 'the search finds what is up');
  return { namespace, processes };
}

/** What is left of a cluster on this machine: processes, mounts, control groups, files. */
function traces(cluster: string, seen: Seen): string[] {
  const { folder, cgroup } = clusterPlaces(cluster);
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n');
  return [
    ...processesNaming(folder).map((pid) => `process ${pid} names its folder`),
    ...seen.processes.filter(isAlive).map(({ pid }) => `process ${pid} was part of it`),
    ...mounts.filter((line) => names(line, folder)).map((line) => `mount ${line}`),
    ...cgroupFolders(cgroup).map((group) => `control group ${group}`),
    ...(existsSync(folder) ? [`folder ${folder}`] : []),
  ];
}

/** Folders outside a cluster's own where programs of a node write by default. */
const strays = [
  '/var/lib/cni',
  '/var/lib/kubelet',
  '/var/log/pods',
  '/var/log/containers',
  '/run/containerd',
  '/run/netns',
  '/opt/containerd',
  '/usr/libexec/kubernetes',
];
const settings = ['vm/overcommit_memory', 'kernel/panic', 'kernel/panic_on_oops'].map((setting) => `/proc/sys/${setting}`);
const machine = () => ({
  strays: strays.map((folder) => [folder, existsSync(folder) ? readdirSync(folder) : null]),
  settings: settings.map((file) => readFileSync(file, 'utf8')),
});

async function must(cluster: Cluster, args: string[], input?: string): Promise<string> {
  const { stdout, stderr, code } = await cluster.kubectl(args, input === undefined ? {} : { input });
  assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}`);
  return stdout;
}

const pod = (image: string) =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'app' },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: 'app',
          image,
          command: ['sh', '-c', 'echo it runs; exec sleep infinity'],
          securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
        },
      ],
    },
  });

async function runPod(cluster: Cluster): Promise<void> {
  await must(cluster, ['apply', '-f', '-'], pod(cluster.appImage));
  await must(cluster, ['wait', '--for=condition=Ready', 'pod/app', '--timeout=60s']);
}
const inPod = (cluster: Cluster, ...command: string[]) => must(cluster, ['exec', 'app', '--', ...command]);

/** Another process that owns a cluster. */
function startOwner(cluster: string) {
  const file = path.resolve(import.meta.dirname, '../cluster/cluster.ts');
  const script = `const { up } = await import(${JSON.stringify(file)});
    await up({ name: ${JSON.stringify(cluster)}, log: (line) => console.log(line) }); console.log('UP'); process.stdin.resume();`;
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
}

test('the one-node cluster', { skip }, async (t) => {
  let cluster: Cluster;
  const untouched = machine();
  before(async () => {
    cluster = await up({ name, log });
    await runPod(cluster);
  });
  after(() => cluster?.down());

  await t.test('runs a pod and serves its logs and exec', async () => {
    assert.equal(await must(cluster, ['logs', 'app']), 'it runs\n');
    assert.match(await inPod(cluster, 'id'), /uid=0/);
    // Input streams through the forwarders, and its end arrives.
    assert.equal(await must(cluster, ['exec', '-i', 'app', '--', 'cat'], 'typed'), 'typed');
  });

  await t.test('lets a pod reach the API, IMDS on the node and nothing else', async () => {
    assert.match(await inPod(cluster, 'curl', '-sk', 'https://10.96.0.1/version'), /"gitVersion": "v1\./);
    const query = 'api-version=2018-02-01&resource=https://vault.azure.net';
    const token = await inPod(
      cluster,
      'curl',
      '-s',
      '-H',
      'Metadata: true',
      `http://169.254.169.254/metadata/identity/oauth2/token?${query}`,
    );
    assert.equal(JSON.parse(token).token_type, 'Bearer');
    // 192.0.2.0/24 belongs to nobody (RFC 5737); the pod has no route to it.
    assert.notEqual((await cluster.kubectl(['exec', 'app', '--', 'curl', '-s', '-m', '5', 'http://192.0.2.1'])).code, 0);
    assert.equal((await cluster.enter('ip', ['route', 'show', 'default'])).stdout, '');
  });

  await t.test('serves the emulator to this machine, and ARM and Entra to pods by TLS', async () => {
    assert.equal((await ask(`${cluster.emulatorControlUrl}/state`)).status, 200);
    await must(cluster, ['exec', '-i', 'app', '--', 'sh', '-c', 'cat >/azure.crt'], cluster.azure.ca);
    for (const url of [cluster.azure.arm, cluster.azure.entra]) await inPod(cluster, 'curl', '-s', '--cacert', '/azure.crt', url);
  });

  await t.test('runs helm', async () => {
    const { stdout, code } = await cluster.helm(['list', '--output', 'json']);
    assert.equal(code, 0);
    assert.deepEqual(JSON.parse(stdout), []);
  });

  await t.test('runs beside a second one, which starts again after a kill of owner or keeper', async () => {
    const second = `${name}-b`;
    const owner = startOwner(second);
    for await (const line of createInterface({ input: owner.stdout })) if (line === 'UP') break;
    await runPod(attach(second));
    assert.match(await must(cluster, ['get', 'pod', 'app']), /Running/);
    await assert.rejects(up({ name: second, log }), /belongs to process/);
    const seen = look(second);
    assert.notEqual(seen.namespace, look(name).namespace);

    owner.kill('SIGKILL');
    await once(owner, 'exit');
    // At once, while processes of the killed owner may still be ending.
    const kept = await up({ name: second, log, owner: 'nobody' });
    await runPod(kept);
    assert.deepEqual(seen.processes.filter(isAlive), []);

    const seenKept = look(second);
    const record = readRecord(kept.folder);
    assert.ok(record);
    process.kill(record.keeper.pid, 'SIGKILL');
    const again = await up({ name: second, log });
    assert.deepEqual(seenKept.processes.filter(isAlive), []);
    const seenAgain = look(second);
    await again.down();
    for (const each of [seenKept, seenAgain]) assert.deepEqual(traces(second, each), []);
  });

  await t.test('leaves nothing when its owner is killed while it starts', async () => {
    const third = `${name}-c`;
    const { folder, cgroup, lock } = clusterPlaces(third);
    const owner = startOwner(third);
    for await (const line of createInterface({ input: owner.stdout })) if (line.includes('control plane answers')) break;
    owner.kill('SIGKILL');
    for (const deadline = Date.now() + 30_000; existsSync(folder) && Date.now() < deadline; ) await sleep(100);
    assert.ok(!existsSync(folder));
    assert.deepEqual(cgroupFolders(cgroup), []);
    for (const deadline = Date.now() + 5000; existsSync(lock) && Date.now() < deadline; ) await sleep(50);
    assert.ok(!existsSync(lock));
  });

  await t.test('leaves no process, mount, namespace, control group or file after `down`', async () => {
    const seen = look(name);
    assert.equal(traces(name, seen).length > seen.processes.length, true, 'there is a lot to find while it is up');
    await cluster.down();
    assert.deepEqual(traces(name, seen), []);
    assert.deepEqual(machine(), untouched);
    assert.throws(() => attach(name), /is not up/);
  });
});
