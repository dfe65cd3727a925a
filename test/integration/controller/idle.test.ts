// What an idle cluster costs Azure and the API server.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, it } from 'node:test';
import { stringAt } from '../../../lib/kube/objects.ts';
import { userAgentOf } from '../../../lib/user-agent.ts';
import { eventually } from '../../harness/wait.ts';
import { group } from '../azure/fixtures.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';

const intervalSeconds = 1;
const sets = ['set-0', 'set-1', 'set-2', 'unused'];
const idOfSet = (name: string) => `${group}/Microsoft.Compute/virtualMachineScaleSets/${name}`;

let folder: string;
let harness: Harness;

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'audit-'));
  const policy = { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived'], rules: [{ level: 'Metadata' }] };
  await writeFile(path.join(folder, 'policy.json'), JSON.stringify(policy));
  harness = await startHarness({
    azure: { imds: { vm: 'set-0/0' }, scaleSets: sets.map((name) => ({ name, instances: 1 })) },
    apiServerFlags: { 'audit-policy-file': path.join(folder, 'policy.json'), 'audit-log-path': path.join(folder, 'log') },
  });
  for (const name of sets) await harness.createNode(name, `azure://${idOfSet(name)}/virtualMachines/0`);
  await harness.createIdentity('reader');
  await harness.createBinding('reader', 'reader', 'read');
  for (const name of sets.slice(0, 3)) await harness.createPod(name, 'read', { node: name });
});

after(async () => {
  await harness?.stop();
  await rm(folder, { recursive: true });
});

/** Requests of the controller to the API server so far, such as `list pods`. */
async function apiRequests(): Promise<string[]> {
  const lines = (await readFile(path.join(folder, 'log'), 'utf8')).split('\n').slice(0, -1);
  return lines
    .map((line): unknown => JSON.parse(line))
    .filter((entry) => stringAt(entry, 'userAgent')?.startsWith(userAgentOf('controller', '')))
    .map((entry) => `${stringAt(entry, 'verb')} ${stringAt(entry, 'objectRef', 'resource')}`);
}

const lists = async () => (await apiRequests()).filter((each) => each.startsWith('list '));

it('reads each scale set with pods once an interval and lists nothing when idle', async () => {
  await harness.startController([`--identity-assignment-reconcile-interval=${intervalSeconds}`]);
  await harness.untilAssigned(...sets.slice(0, 3).map((name) => `${name}-default-reader`));
  const inUse = sets.slice(0, 3).map((name) => idOfSet(name).toLowerCase());
  const timesOf = (scope: string, since: number) =>
    harness.armRequests(since).flatMap((request) => (request.path.toLowerCase() === scope ? [request.at] : []));
  await harness.until(() => inUse.every((scope) => timesOf(scope, 0).length >= 2), 'each was read twice');

  const since = harness.emulator.log.last;
  const before = await lists();
  assert.ok(before.includes('list pods') && before.includes('list azureassignedidentities'), 'the lists of the start are counted');
  await harness.until(() => inUse.every((scope) => timesOf(scope, since).length >= 5), 'five intervals');

  for (const scope of inUse) {
    const times = timesOf(scope, since);
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    // A timer may be a millisecond early.
    assert.ok(Math.min(...gaps) >= intervalSeconds * 1000 - 5, `${scope} is read at most once in an interval: ${gaps}`);
  }
  const others = harness.armRequests(since).filter(({ method, path }) => method !== 'GET' || !inUse.includes(path.toLowerCase()));
  assert.deepEqual(others, [], 'nothing else is asked of Azure');
  assert.deepEqual(await lists(), before, 'nothing is listed again');
  // The log is complete: the Lease has been renewed all the while.
  await eventually(async () => (await apiRequests()).some((each) => /^(update|patch) leases$/.test(each)), 'the audit log shows the Lease');
});
