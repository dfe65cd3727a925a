// `init` with a fake iptables: the order of its steps and each way in which it fails. test/netns loads the rules into a real kernel.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CommandErrorCode } from '../errors.ts';
import type { InitSettings } from '../settings.ts';
import { createTestLog } from '../testing/fixtures.ts';
import { emptyTables, savedTables } from '../testing/iptables.ts';
import type { InitDependencies } from './init.ts';
import { init } from './init.ts';
import { desiredTables, rejectImds } from './rules.ts';

const settings: InitSettings = {
  podIp: '10.1.0.7',
  hostIp: '10.0.0.4',
  denyImds: false,
  blockWireServer: false,
  iptables: 'nft',
  logFormat: 'json',
};
const loadedTables = savedTables(desiredTables(settings));

/** `saves` are the outputs of iptables-save, one for each call. */
function createHarness(changes: Partial<InitDependencies> = {}, saves: string[] = [emptyTables, loadedTables]) {
  const commands: string[] = [];
  const { log, lines } = createTestLog();
  let nonce = '';
  const dependencies: InitDependencies = {
    log,
    run(command, input) {
      commands.push([command.join(' '), input ?? ''].join('\n'));
      const stdout = command[0]?.endsWith('-save') === true ? (saves.shift() ?? '') : '';
      return Promise.resolve({ code: 0, stdout, stderr: '' });
    },
    hasRoute: () => Promise.resolve(true),
    legacyTables: () => Promise.resolve(''),
    listen(own) {
      nonce = own;
      return { stop: () => Promise.resolve() };
    },
    get: () => Promise.resolve(nonce),
    connect: () => Promise.resolve('refused'),
    ...changes,
  };
  return { dependencies, commands, lines };
}

const fails = (
  dependencies: InitDependencies,
  code: CommandErrorCode,
  message: RegExp,
  changes: Partial<InitSettings> = {},
): Promise<void> => assert.rejects(init({ ...settings, ...changes }, dependencies), { name: 'CommandError', code, message });

test('saves the rules, loads its own, reads them back and verifies the redirect', async () => {
  const { dependencies, commands, lines } = createHarness();
  await init(settings, dependencies);
  assert.deepEqual(
    commands.map((command) => command.split('\n')[0]),
    ['iptables-nft-save', 'iptables-nft-restore --noflush', 'iptables-nft-save', 'iptables-nft-restore --noflush'],
  );
  assert.match(lines.join(), /redirect verified.*own listener/);
});

test('goes without the raw table where the kernel has none, and says so', async () => {
  const { dependencies, lines } = createHarness();
  const { run } = dependencies;
  dependencies.run = async (command, input) => ({ ...(await run(command, input)), code: input?.startsWith('*raw') === true ? 4 : 0 });
  await init(settings, dependencies);
  assert.match(lines.join(), /redirect verified.*"untracked":false/);
});

test("refuses the host's network namespace, in any spelling of the address", async () => {
  const { dependencies, commands } = createHarness();
  await fails(dependencies, 'host_network', /host's network namespace/, { hostIp: settings.podIp });
  await fails(dependencies, 'host_network', /host's network namespace/, { podIp: 'fd00::1', hostIp: 'FD00:0::1' });
  assert.deepEqual(commands, []);
});

test('loads nothing in a pod without an IPv4 route, and says so', async () => {
  const { dependencies, commands, lines } = createHarness({ hasRoute: () => Promise.resolve(false) });
  await init(settings, dependencies);
  assert.deepEqual(commands, []);
  assert.match(lines.join(), /no IPv4 route/);
});

test('names the chart value when legacy tables are in use, and works with that value', async () => {
  const legacyTables = () => Promise.resolve('mangle\nnat\n');
  await fails(createHarness({ legacyTables }).dependencies, 'legacy_tables_in_use', /iptables=legacy/);
  const { dependencies, commands } = createHarness({ legacyTables });
  await init({ ...settings, iptables: 'legacy' }, dependencies);
  assert.match(commands[1] ?? '', /^iptables-legacy-restore --noflush --wait 10/);
});

test('runs again beside legacy tables that came after its first run', async () => {
  const legacyTables = () => Promise.resolve('nat\n');
  const { dependencies, lines } = createHarness({ legacyTables }, [loadedTables, loadedTables]);
  await init(settings, dependencies);
  assert.match(lines.join(), /redirect verified/);
});

test('reports the output of iptables in one line, with what usually helps', async () => {
  const stderr = 'iptables v1.8.9 (nf_tables): Could not fetch rule set generation id:\nPermission denied (you must be root)\n\n';
  const run = () => Promise.resolve({ code: 4, stdout: '', stderr });
  await fails(createHarness({ run }).dependencies, 'iptables_failed', /^iptables-nft-save failed: .*id:; Permission denied.*NET_ADMIN.*$/);
});

test('fails when the rules are not in place after the load', async () => {
  const { dependencies } = createHarness({}, [emptyTables, emptyTables]);
  await fails(dependencies, 'rules_not_in_place', /difference: .*aad-metadata/);
});

test('fails when the redirect has no effect, and says whether anything else answered', async () => {
  const silent = createHarness({ get: () => Promise.resolve(undefined) });
  await fails(silent.dependencies, 'redirect_not_effective', /did not reach port 2579 \(nothing answered/);
  const other = createHarness({ get: () => Promise.resolve('f'.repeat(32)) });
  await fails(other.dependencies, 'redirect_not_effective', /somebody else answered/);
});

test('verifies the redirect through the running proxy when the port is in use', async () => {
  const nonce = '0123456789abcdef0123456789abcdef';
  const { dependencies, lines } = createHarness({ listen: () => undefined, get: () => Promise.resolve(nonce) });
  await init(settings, dependencies);
  assert.match(lines.join(), /running proxy/);
});

test('fails when the port is in use by anything but the proxy', async () => {
  const otherProgram = createHarness({ listen: () => undefined, get: () => Promise.resolve('hello') });
  await fails(otherProgram.dependencies, 'port_in_use', /not the identity proxy/);
  const nonces = ['0'.repeat(32), 'f'.repeat(32)];
  const other = createHarness({ listen: () => undefined, get: () => Promise.resolve(nonces.shift()) });
  await fails(other.dependencies, 'redirect_not_effective', /somebody else answered/);
});

test('stops its listener when the verification fails', async () => {
  let stopped = 0;
  const listen = () => ({
    stop: () => {
      stopped += 1;
      return Promise.resolve();
    },
  });
  const { dependencies } = createHarness({ listen, get: () => Promise.resolve(undefined) });
  await fails(dependencies, 'redirect_not_effective', /did not reach/);
  assert.equal(stopped, 1);
});

test('undoes what a failed load left behind', async () => {
  const half = loadedTables.replace(/\*nat[\s\S]*/, '');
  const { dependencies, commands } = createHarness({}, [emptyTables, half]);
  const { run } = dependencies;
  dependencies.run = async (command, input) => ({
    ...(await run(command, input)),
    code: command[0]?.endsWith('-restore') === true && commands.length < 3 ? 1 : 0,
  });
  await fails(dependencies, 'iptables_failed', /iptables-nft-restore failed/);
  assert.match(commands.at(-1) ?? '', /\*filter\n-D FORWARD .*\n-F aad-metadata-guard\n-X aad-metadata-guard\nCOMMIT/);
});

/** The output of `iptables-save` once IMDS is denied and the rule has rejected so many packets. */
function denied(packets: number): string[] {
  const counted = `*filter\n[${packets}:60] -A aad-metadata-guard ${rejectImds}\nCOMMIT\n`;
  return [emptyTables, savedTables(desiredTables({ denyImds: true, blockWireServer: false })), counted];
}

test('denies IMDS, verifies that its own rule rejects, and needs no port', async () => {
  const { dependencies, commands, lines } = createHarness({ listen: () => assert.fail('listens') }, denied(1));
  await init({ ...settings, denyImds: true }, dependencies);
  assert.equal(commands.at(-1), 'iptables-nft-save --counters --table filter\n');
  assert.doesNotMatch(commands.join(), /\*raw/);
  assert.match(lines.join(), /denial verified/);
});

test('fails when a connection to IMDS is accepted, not answered or refused by others', async () => {
  for (const [found, packets] of [
    ['accepted', 1],
    ['unanswered', 0],
    ['refused', 0],
  ] as const) {
    const { dependencies } = createHarness({ connect: () => Promise.resolve(found) }, denied(packets));
    await fails(dependencies, 'denial_not_effective', new RegExp(`did not reject .*it was ${found}`), { denyImds: true });
  }
});
