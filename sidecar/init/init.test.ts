// `init` with a pretended iptables: order of steps, one clear line for each way it can fail. The rules themselves meet a kernel in test/netns.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Failure } from '../failure.ts';
import type { InitSettings } from '../settings.ts';
import { createTestLog } from '../testing.ts';
import type { InitWorld } from './init.ts';
import { init } from './init.ts';
import { differences, restoreInput, undoInput, wantedTables } from './rules.ts';

const settings: InitSettings = { podIp: '10.1.0.7', hostIp: '10.0.0.4', blockWireServer: false, iptables: 'nft' };
const empty = '*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n*filter\n:OUTPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\nCOMMIT\n';

/** What `iptables-save` would print after our own input alone. */
function loaded(tables = wantedTables({ blockWireServer: false }), foreign = ''): string {
  return tables
    .map((table) => {
      const jumps = table.jumps.map((jump) => `-A ${jump.from} ${jump.match} -j ${table.chain}`);
      const rules = table.rules.map((rule) => `-A ${table.chain} ${rule}`);
      return [
        `*${table.name}`,
        ':OUTPUT ACCEPT [0:0]',
        `:${table.chain} - [0:0]`,
        ...jumps,
        table.name === 'nat' ? foreign : '',
        ...rules,
        'COMMIT',
        '',
      ].join('\n');
    })
    .join('');
}

function setup(changes: Partial<InitWorld> = {}, saves: string[] = [empty, loaded()]) {
  const commands: string[] = [];
  const { log, lines } = createTestLog();
  let nonce = '';
  const world: InitWorld = {
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
    ...changes,
  };
  return { world, commands, lines };
}
const fails = (world: InitWorld, expected: RegExp, changes: Partial<InitSettings> = {}) =>
  assert.rejects(
    init({ ...settings, ...changes }, world),
    (error) => error instanceof Failure && expected.test(error.message) && !error.message.includes('\n'),
  );

describe('init', () => {
  it('saves, loads in one restore, reads back and proves', async () => {
    const { world, commands, lines } = setup();
    await init(settings, world);
    assert.deepEqual(
      commands.map((command) => command.split('\n')[0]),
      ['iptables-nft-save', 'iptables-nft-restore --noflush', 'iptables-nft-save'],
    );
    assert.match(lines.join(), /redirect proven.*own listener/);
  });

  it("refuses the host's network namespace before anything else, however the address is spelled", async () => {
    const { world, commands } = setup();
    await fails(world, /host's network namespace/, { hostIp: settings.podIp });
    await fails(world, /host's network namespace/, { podIp: 'fd00::1', hostIp: 'FD00:0::1' });
    assert.deepEqual(commands, []);
  });

  it('has nothing to do without an IPv4 route, and says so', async () => {
    const { world, commands, lines } = setup({ hasRoute: () => Promise.resolve(false) });
    await init(settings, world);
    assert.deepEqual(commands, []);
    assert.match(lines.join(), /no IPv4 route/);
  });

  it('names the chart value when legacy tables are in use, and works with it', async () => {
    const legacyTables = () => Promise.resolve('mangle\nnat\n');
    await fails(setup({ legacyTables }).world, /iptables=legacy/);
    const { world, commands } = setup({ legacyTables });
    await init({ ...settings, iptables: 'legacy' }, world);
    assert.match(commands[1] ?? '', /^iptables-legacy-restore --noflush --wait 10/);
  });

  it('tells what the tool said, and what usually helps', async () => {
    const run = () =>
      Promise.resolve({
        code: 4,
        stdout: '',
        stderr: 'iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)\n\n',
      });
    await fails(setup({ run }).world, /Permission denied.*NET_ADMIN/);
  });

  it('notices rules that did not arrive', async () => {
    await fails(setup({}, [empty, empty]).world, /difference: .*aad-metadata/);
  });

  it('notices a redirect that does not work, and who answers instead', async () => {
    await fails(setup({ get: () => Promise.resolve(undefined) }).world, /did not reach port 2579 \(nothing answered/);
    await fails(setup({ get: () => Promise.resolve('f'.repeat(32)) }).world, /somebody else answered/);
  });

  it('proves a re-run through the running proxy, and only through a proxy', async () => {
    const word = '0123456789abcdef0123456789abcdef';
    const { world, lines } = setup({ listen: () => undefined, get: () => Promise.resolve(word) });
    await init(settings, world);
    assert.match(lines.join(), /running proxy/);
    await fails(setup({ listen: () => undefined, get: () => Promise.resolve('hello') }).world, /not the identity proxy/);
    let first = true;
    const get = () => {
      const answer = first ? word : 'f'.repeat(32);
      first = false;
      return Promise.resolve(answer);
    };
    await fails(setup({ listen: () => undefined, get }).world, /somebody else answered/);
  });

  it('stops its listener whatever happens', async () => {
    let stopped = 0;
    const listen = () => ({
      stop: () => {
        stopped += 1;
        return Promise.resolve();
      },
    });
    await fails(setup({ listen, get: () => Promise.resolve(undefined) }).world, /did not reach/);
    assert.equal(stopped, 1);
  });

  it('undoes what a failed load left behind', async () => {
    const half = loaded().replace(/\*nat[\s\S]*/, '');
    const { world, commands } = setup({}, [empty, half]);
    const { run } = world;
    world.run = async (command, input) => ({
      ...(await run(command, input)),
      code: command[0]?.endsWith('-restore') === true && commands.length < 3 ? 1 : 0,
    });
    await fails(world, /iptables-nft-restore failed/);
    assert.match(commands.at(-1) ?? '', /\*filter\n-D FORWARD .*\n-F aad-metadata-guard\n-X aad-metadata-guard\nCOMMIT/);
  });
});

describe('rules', () => {
  const tables = wantedTables({ blockWireServer: true });

  it('are all inserted into an empty namespace', () => {
    assert.equal(differences(tables, loaded(tables)).length, 0);
    assert.ok(differences(tables, empty).length > 0);
    assert.equal(restoreInput(tables, empty).match(/^-I /gm)?.length, 4);
  });

  it('touch no jump that is in place', () => {
    assert.doesNotMatch(restoreInput(tables, loaded(tables)), /^-[ID] /m);
  });

  it('move our jump back to the top when somebody inserted before it', () => {
    const saved = loaded(tables).replace('-A OUTPUT -d 169', '-A OUTPUT -p tcp -j MESH\n-A OUTPUT -d 169');
    assert.ok(differences(tables, saved).some((difference) => difference.includes('nat OUTPUT')));
    assert.deepEqual(
      restoreInput(tables, saved)
        .match(/^-[ID] .*/gm)
        ?.map((line) => line.slice(0, 12)),
      ['-D OUTPUT -d', '-I OUTPUT 1 '],
    );
  });

  it('take back WireServer rules of an earlier run that wanted them', () => {
    const wanted = wantedTables({ blockWireServer: false });
    const input = restoreInput(wanted, loaded(tables));
    assert.equal(input.match(/^-D .*168\.63\.129\.16.*/gm)?.length, 2);
  });

  it('leave everything of others alone', () => {
    const saved = loaded(tables, '-A OUTPUT -p tcp -j MESH');
    for (const input of [restoreInput(tables, saved), undoInput(tables, empty, saved)]) assert.doesNotMatch(input, /MESH/);
    assert.equal(undoInput(tables, saved, saved), '', 'nothing that was there before is undone');
  });
});
