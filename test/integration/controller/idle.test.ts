// What a cluster in which nothing happens costs Azure and the API server.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, it } from 'node:test';
import { userAgentOf } from '../../../controller/user-agent.ts';
import { stringAt } from '../../../lib/kube/objects.ts';
import { group } from '../azure/support.ts';
import type { Stage } from './stage.ts';
import { eventually, setStage, statusOf } from './stage.ts';

const intervalSeconds = 1;
const sets = ['set-0', 'set-1', 'set-2', 'unused'];
const idOfSet = (name: string) => `${group}/Microsoft.Compute/virtualMachineScaleSets/${name}`;

let folder: string;
let stage: Stage;

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'audit-'));
  const policy = { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived'], rules: [{ level: 'Metadata' }] };
  await writeFile(path.join(folder, 'policy.json'), JSON.stringify(policy));
  stage = await setStage(
    { imds: { vm: 'set-0/0' }, scaleSets: sets.map((name) => ({ name, instances: 1 })) },
    { apiServerFlags: { 'audit-policy-file': path.join(folder, 'policy.json'), 'audit-log-path': path.join(folder, 'log') } },
  );
  for (const name of sets) await stage.makeNode(name, `azure://${idOfSet(name)}/virtualMachines/0`);
  await stage.makeIdentity('reader');
  await stage.makeBinding('reader', 'reader', 'read');
  for (const name of sets.slice(0, 3)) await stage.makePod(name, 'read', { node: name });
});

after(async () => {
  await stage?.stop();
  await rm(folder, { recursive: true });
});

/** What the controller asked the API server for so far: `list pods` and the like. */
async function asked(): Promise<string[]> {
  const lines = (await readFile(path.join(folder, 'log'), 'utf8')).split('\n').slice(0, -1);
  return lines
    .map((line): unknown => JSON.parse(line))
    .filter((entry) => stringAt(entry, 'userAgent')?.startsWith(userAgentOf('')))
    .map((entry) => `${stringAt(entry, 'verb')} ${stringAt(entry, 'objectRef', 'resource')}`);
}

const lists = async () => (await asked()).filter((each) => each.startsWith('list '));

/** Calls to Resource Manager after an entry of the emulator's log. */
const armCalls = (since: number) =>
  stage.emulator.log.list(since).flatMap((entry) => (entry.kind === 'request' && entry.service === 'arm' ? [entry] : []));

it('an idle cluster costs one GET of each scale set with pods in an interval, and no list', async () => {
  await stage.startController([`--identity-assignment-reconcile-interval=${intervalSeconds}`]);
  await stage.until(() => [...stage.assigned.values()].filter((each) => statusOf(each) === 'Assigned').length === 3, 'all Assigned');
  const inUse = sets.slice(0, 3).map((name) => idOfSet(name).toLowerCase());
  const timesOf = (scope: string, since: number) => armCalls(since).flatMap((call) => (call.path.toLowerCase() === scope ? [call.at] : []));
  const seenTwice = (since: number) => inUse.every((scope) => timesOf(scope, since).length >= 2);
  await stage.until(() => seenTwice(0), 'the first looks are over');

  const since = stage.emulator.log.last;
  const before = await lists();
  assert.ok(before.includes('list pods') && before.includes('list azureassignedidentities'), 'the lists of the start are counted');
  await stage.until(() => inUse.every((scope) => timesOf(scope, since).length >= 5), 'five intervals');

  for (const scope of inUse) {
    const times = timesOf(scope, since);
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    // A timer may be a millisecond early.
    assert.ok(Math.min(...gaps) >= intervalSeconds * 1000 - 5, `${scope} is read at most once in an interval: ${gaps}`);
  }
  const others = armCalls(since).filter((call) => call.method !== 'GET' || !inUse.includes(call.path.toLowerCase()));
  assert.deepEqual(others, [], 'nothing else is asked of Azure');
  assert.deepEqual(await lists(), before, 'nothing is listed again');
  // The log is complete: the Lease has been renewed all the while.
  await eventually(async () => (await asked()).some((each) => /^(update|patch) leases$/.test(each)), 'the audit log shows the Lease');
});
