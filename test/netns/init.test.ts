// `init` and a real kernel, in the network namespaces of a pod, of its node with IMDS and WireServer, and of a container nested in the pod.
import assert from 'node:assert/strict';
import { chmod, copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { bun, sidecarBundle, unreachableProxies } from '../integration/sidecar/process.ts';
import { missing } from './iptables.ts';
import { ambient, meshes, nativeNftables } from './meshes.ts';
import type { Namespace, Output } from './namespace.ts';
import { createNamespace, inPodUsers, outsideId } from './namespace.ts';

const peer = path.join(import.meta.dirname, 'peer.ts');
const imds = '169.254.169.254:80';
const wireServer = '168.63.129.16';
const addresses = ['--pod-ip=10.1.0.2', '--host-ip=10.0.0.4'];
/** What the webhook gives the container, and nothing more. */
const asInit = ['setpriv', '--bounding-set=-all,+net_admin', '--inh-caps=-all', '--no-new-privs'];
const asLegacy = ['setpriv', '--bounding-set=-all,+net_admin,+net_raw', '--inh-caps=-all', '--no-new-privs'];
const proxyUser = [
  'setpriv',
  '--reuid=25790',
  '--regid=25790',
  '--clear-groups',
  '--inh-caps=+dac_read_search',
  '--ambient-caps=+dac_read_search',
];

const reason = missing();
if (reason !== undefined) console.error(`SKIPPED: ${reason}`);

describe('init in a network namespace', { skip: reason ?? false }, () => {
  let bundle: string;
  let pod: Namespace;
  let node: Namespace;
  const open: { stop(): Promise<void> }[] = [];

  before(async () => {
    bundle = await sidecarBundle();
  });
  const connectPod = async () => {
    await pod.must(`ip link add eth0 type veth peer name pod netns ${node.pid}`);
    await pod.must('ip addr add 10.1.0.2/24 dev eth0');
    await pod.must('ip link set eth0 up');
    await node.must('ip addr add 10.1.0.1/24 dev pod');
    await node.must('ip link set pod up');
    await pod.must('ip route add default via 10.1.0.1');
  };
  beforeEach(async () => {
    [pod, node] = await Promise.all([createNamespace(), createNamespace()]);
    await connectPod();
    for (const address of ['169.254.169.254', wireServer]) await node.must(`ip addr add ${address}/32 dev lo`);
    await serve(node, 'imds', imds);
    await serve(node, 'wireserver', ...[80, 32526, 53].map((port) => `${wireServer}:${port}`));
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((each) => each.stop()));
    await Promise.all([pod.close(), node.close()]);
  });

  const serve = async (where: Namespace, word: string, ...at: string[]) => {
    const server = await where.start([process.execPath, peer, 'serve', word, ...at]);
    open.push(server);
    return server;
  };
  const ask = async (at = imds, user: readonly [number, number] = [0, 0], where = pod) =>
    (await where.must([process.execPath, peer, 'ask', at, ...user.map(String)])).trim();
  const init = (
    flags: readonly string[] = [],
    options: { as?: readonly string[]; args?: readonly string[]; env?: Record<string, string> } = {},
  ): Promise<Output> =>
    pod.run([...(options.as ?? asInit), bun, '--smol', '--no-env-file', bundle, 'init', ...(options.args ?? addresses), ...flags], {
      env: { BUN_JSC_useJIT: '0', ...options.env },
    });
  const succeeds = async (...request: Parameters<typeof init>) => {
    const result = await init(...request);
    assert.equal(result.code, 0, result.stderr);
    return result.stdout;
  };
  const refuses = async (expected: RegExp, ...request: Parameters<typeof init>) => {
    const result = await init(...request);
    assert.equal(result.code, 1, result.stdout);
    assert.match(result.stderr, expected);
    assert.equal(result.stderr.trim().split('\n').length, 1, 'one clear line');
  };
  const rules = async (tool = 'iptables-nft-save') => (await pod.must(tool)).replaceAll(/^#.*\n/gm, '');
  const iptables = (rule: string, tool = 'iptables-nft') => pod.must(`${tool} ${rule}`);

  it('redirects every user except for the uid and gid of the proxy', async () => {
    assert.equal(await ask(), 'imds', 'before init');
    assert.match(await succeeds(), /redirect verified.*own listener/);
    await serve(pod, 'proxy', '127.0.0.1:2579');
    assert.equal(await ask(imds, [25790, 25790]), 'imds');
    for (const user of [
      [0, 0],
      [1000, 1000],
      [65534, 65534],
      [25790, 0],
      [0, 25790],
      [25790, 25791],
    ] as const) {
      assert.equal(await ask(imds, user), 'proxy', user.join(':'));
    }
    assert.equal(await ask('[::ffff:169.254.169.254]:80'), 'proxy', 'an IPv6 socket with a mapped address');
    assert.equal(await ask(`${wireServer}:80`), 'wireserver', 'not blocked by default');
  });

  it('refuses connections to IMDS while the proxy does not run', async () => {
    await succeeds();
    assert.equal(await ask(), 'ECONNREFUSED');
  });

  it('gives the same rules after any number of runs', async () => {
    await succeeds(['--block-wireserver']);
    const first = await rules();
    await succeeds(['--block-wireserver']);
    await succeeds(['--block-wireserver']);
    assert.equal(await rules(), first);
  });

  it('verifies the redirect through the proxy when that runs already', async () => {
    await succeeds();
    const directory = await mkdtemp(path.join(tmpdir(), 'netns-'));
    const tokenFile = path.join(directory, 'token');
    await writeFile(tokenFile, 'x');
    const ca = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----';
    // There is no broker: the start of a pod does not need one.
    const flags = ['--broker-url=https://127.0.0.1:1', `--broker-ca=${ca}`, `--broker-token-file=${tokenFile}`];
    const script = '"$@" & pid=$!; cat > /dev/null; kill $pid; wait $pid';
    const proxy = await pod.start(['sh', '-c', script, 'sh', ...proxyUser, bun, '--smol', '--no-env-file', bundle, 'proxy', ...flags]);
    open.push({
      async stop() {
        await proxy.stop();
        await rm(directory, { recursive: true });
      },
    });
    assert.equal((await pod.run([...proxyUser, bun, bundle, 'wait', '--timeout=10'])).code, 0);
    assert.match(await succeeds(), /redirect verified.*running proxy/);
    await iptables('-A OUTPUT -d 127.0.0.1 -p tcp --dport 2579 ! -s 127.0.0.1 -j REJECT');
    await refuses(/did not reach port 2579/);
  });

  it('verifies the redirect past HTTP proxies of the environment', async () => {
    assert.match(await succeeds([], { env: unreachableProxies }), /redirect verified.*own listener/);
  });

  it('fails when another program has the port of the proxy', async () => {
    await serve(pod, 'hello', '127.0.0.1:2579');
    await refuses(/port 2579 is taken/);
  });

  it('takes precedence over the catch-all redirect of a service mesh in either order', async () => {
    await iptables('-t nat -N MESH');
    await iptables('-t nat -A MESH -p tcp -j REDIRECT --to-ports 15001');
    await iptables('-t nat -A OUTPUT -p tcp -j MESH');
    await serve(pod, 'mesh', '127.0.0.1:15001');
    await succeeds();
    await serve(pod, 'proxy', '127.0.0.1:2579');
    const check = async () => {
      assert.equal(await ask(), 'proxy');
      assert.equal(await ask('10.1.0.1:9'), 'mesh', 'other traffic goes to the mesh');
      assert.equal(await ask(imds, [25790, 25790]), 'imds', 'a RETURN would lead into the mesh');
    };
    await check();
    await iptables('-t nat -D OUTPUT -p tcp -j MESH');
    await iptables('-t nat -A OUTPUT -p tcp -j MESH');
    await check();
  });

  it('takes precedence over the redirect of azwi-proxy in either order', async () => {
    const jump = 'OUTPUT -p tcp -d 169.254.169.254 --dport 80 -j AZWI';
    await iptables('-t nat -N AZWI');
    await iptables('-t nat -A AZWI -m owner --uid-owner 1501 -j RETURN');
    await iptables('-t nat -A AZWI -p tcp -j REDIRECT --to-ports 8000');
    await iptables(`-t nat -A ${jump}`);
    await serve(pod, 'azwi', '127.0.0.1:8000');
    assert.equal(await ask(), 'azwi', 'before init');
    await succeeds();
    await serve(pod, 'proxy', '127.0.0.1:2579');
    for (const order of ['before', 'after']) {
      for (const id of [0, 1501]) assert.equal(await ask(imds, [id, id]), 'proxy', `${order} ${id}`);
      assert.equal(await ask(imds, [25790, 25790]), 'imds', order);
      await iptables(`-t nat -D ${jump}`);
      await iptables(`-t nat -A ${jump}`);
    }
  });

  it('moves its jump back to the top when a mesh was inserted above it', async () => {
    await succeeds();
    await iptables('-t nat -I OUTPUT 1 -p tcp -j REDIRECT --to-ports 15001');
    assert.equal(await ask(), 'ECONNREFUSED');
    await succeeds();
    await serve(pod, 'proxy', '127.0.0.1:2579');
    assert.equal(await ask(), 'proxy');
  });

  it('fails when the redirect has no effect', async () => {
    await iptables('-A OUTPUT -p tcp --dport 2579 -j REJECT');
    await refuses(/did not reach port 2579/);
  });

  /** A network namespace inside the pod, as a container of docker-in-docker has it. */
  const nest = async (): Promise<Namespace> => {
    const nested = await createNamespace();
    open.push({ stop: () => nested.close() });
    await nested.must(`ip link add eth0 type veth peer name inner netns ${pod.pid}`);
    await nested.must('ip addr add 10.2.0.2/24 dev eth0');
    await nested.must('ip link set eth0 up');
    await nested.must('ip route add default via 10.2.0.1');
    await pod.must('ip addr add 10.2.0.1/24 dev inner');
    await pod.must('ip link set inner up');
    await pod.must('sysctl -qw net.ipv4.ip_forward=1');
    await node.must('ip route add 10.2.0.0/24 via 10.1.0.2');
    return nested;
  };

  it('rejects requests that a nested container sends through the pod', async () => {
    const nested = await nest();
    assert.equal(await ask(imds, [0, 0], nested), 'imds', 'before init');
    await succeeds(['--block-wireserver']);
    await serve(pod, 'proxy', '127.0.0.1:2579');
    for (const at of [imds, `${wireServer}:80`]) assert.equal(await ask(at, [25790, 25790], nested), 'ECONNREFUSED', at);
    assert.equal(await ask(`${wireServer}:53`, [0, 0], nested), 'wireserver');
  });

  for (const [mode, flags] of [
    ['redirect', ['--block-wireserver']],
    ['denial', ['--deny-imds', '--block-wireserver']],
  ] as const)
    it(`rejects requests of nested containers behind the rules of dockerd: ${mode}`, async () => {
      const nested = await nest();
      await succeeds(flags);
      const first = await rules();
      // dockerd starts later. It accepts what its bridge forwards, before all rules that are there.
      for (const rule of [
        '-N DOCKER-FORWARD',
        '-A DOCKER-FORWARD -i inner -j ACCEPT',
        '-A DOCKER-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
        '-I FORWARD 1 -j DOCKER-FORWARD',
        '-P FORWARD DROP',
        '-t nat -N DOCKER',
        '-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
        '-t nat -A POSTROUTING -s 10.2.0.0/24 ! -o inner -j MASQUERADE',
      ])
        await iptables(rule);
      const proxy = await serve(pod, 'proxy', '127.0.0.1:2579');
      assert.equal(await ask(`${wireServer}:53`, [0, 0], nested), 'wireserver', 'dockerd forwards');
      for (const at of [imds, `${wireServer}:80`]) assert.equal(await ask(at, [0, 0], nested), 'ECONNREFUSED', at);
      await proxy.stop();
      await succeeds(flags);
      assert.ok((await rules()).includes(first.split('*nat')[1]?.match(/^-A PREROUTING.*$/m)?.[0] ?? 'no rule'), 'init ran again');
    });

  const load = (input: string, tool = 'iptables-nft-restore --noflush') => pod.must(['sh', '-c', `${tool} <<'E'\n${input}E`]);
  const asProxy = [25790, 25790] as const;
  const broker = '10.1.0.1:9443';

  for (const mesh of meshes) {
    it(`reaches IMDS and no broker before the proxy of ${mesh.name} runs`, async () => {
      await serve(node, 'broker', broker);
      await load(mesh.rules());
      assert.match(await succeeds(), /redirect verified/);
      await serve(pod, 'proxy', '127.0.0.1:2579');
      assert.deepEqual([await ask(), await ask(imds, asProxy)], ['proxy', 'imds']);
      assert.equal(await ask(broker, asProxy), 'ECONNREFUSED', 'nobody listens where the mesh leads it');
      await serve(pod, 'mesh', `127.0.0.1:${mesh.port}`);
      assert.equal(await ask(broker, asProxy), 'mesh');
      assert.deepEqual([await ask(), await ask(imds, asProxy)], ['proxy', 'imds'], 'the mesh changes nothing for IMDS');
      assert.equal(await ask(imds, mesh.user), 'proxy', 'a passthrough of the mesh');
    });

    it(`reaches a broker whose port is excluded from ${mesh.name}`, async () => {
      await serve(node, 'broker', broker);
      await load(mesh.rules(9443));
      await succeeds();
      assert.equal(await ask(broker, asProxy), 'broker');
    });
  }

  for (const order of ['before', 'after'] as const)
    it(`keeps the proxy out of a mesh with own nftables, ${order} the redirect`, async () => {
      if (order === 'before') await load(nativeNftables, 'nft -f -');
      assert.match(await succeeds(), /"untracked":true/);
      if (order === 'after') await load(nativeNftables, 'nft -f -');
      await serve(pod, 'proxy', '127.0.0.1:2579');
      await serve(pod, 'mesh', '127.0.0.1:15001');
      assert.equal(await ask(imds, asProxy), 'imds', 'not led back to itself');
      assert.equal(await ask(), order === 'before' ? 'proxy' : 'mesh');
      assert.equal(await ask(imds, [1337, 1337]), 'proxy', 'what the mesh passes on');
      assert.equal(await ask('10.1.0.1:9'), 'mesh');
    });

  for (const order of ['before', 'after'] as const)
    it(`reaches IMDS through no mesh when ${ambient.name} comes ${order} the redirect`, async () => {
      await serve(pod, 'mesh', `0.0.0.0:${ambient.port}`);
      if (order === 'before') await load(ambient.rules());
      await succeeds();
      if (order === 'after') await load(ambient.rules());
      await serve(pod, 'proxy', '127.0.0.1:2579');
      assert.deepEqual([await ask(), await ask(imds, [25790, 25790])], ['proxy', 'imds']);
      assert.equal(await ask('10.1.0.1:9443', [25790, 25790]), 'mesh');
    });

  it('rejects WireServer except for port 53 on request, and allows it again without', async () => {
    await succeeds(['--block-wireserver']);
    for (const port of [80, 32526]) assert.equal(await ask(`${wireServer}:${port}`), 'ECONNREFUSED', String(port));
    assert.equal(await ask(`${wireServer}:53`), 'wireserver');
    await succeeds();
    assert.equal(await ask(`${wireServer}:80`), 'wireserver');
  });

  it('denies IMDS to every user, at once, and leaves WireServer alone', async () => {
    assert.match(await succeeds(['--deny-imds']), /denial verified/);
    for (const user of [
      [0, 0],
      [1000, 1000],
      [25790, 25790],
    ] as const)
      assert.equal(await ask(imds, user), 'ECONNREFUSED', user.join(':'));
    assert.equal(await ask('[::ffff:169.254.169.254]:80'), 'ECONNREFUSED', 'an IPv6 socket with a mapped address');
    assert.equal(await ask(`${wireServer}:80`), 'wireserver');
  });

  it('denies WireServer beside IMDS on request, except for port 53', async () => {
    await succeeds(['--deny-imds', '--block-wireserver']);
    for (const at of [imds, `${wireServer}:80`, `${wireServer}:32526`]) assert.equal(await ask(at), 'ECONNREFUSED', at);
    assert.equal(await ask(`${wireServer}:53`), 'wireserver');
  });

  it('gives the same rules after any number of denials', async () => {
    await succeeds(['--deny-imds', '--block-wireserver']);
    const first = await rules();
    await succeeds(['--deny-imds', '--block-wireserver']);
    assert.equal(await rules(), first);
  });

  it('denies in place of an earlier redirect, while the proxy serves', async () => {
    await succeeds();
    await serve(pod, 'proxy', '127.0.0.1:2579');
    assert.equal(await ask(), 'proxy');
    await succeeds(['--deny-imds']);
    for (const user of [
      [0, 0],
      [25790, 25790],
    ] as const)
      assert.equal(await ask(imds, user), 'ECONNREFUSED', user.join(':'));
  });

  it('denies IMDS to the proxy of a service mesh and to those it serves', async () => {
    await iptables('-t nat -A OUTPUT -p tcp -m owner ! --uid-owner 1337 -j REDIRECT --to-ports 15001');
    await serve(pod, 'mesh', '127.0.0.1:15001');
    await succeeds(['--deny-imds']);
    assert.equal(await ask('10.1.0.1:9'), 'mesh', 'other traffic goes to the mesh');
    assert.equal(await ask(), 'ECONNREFUSED');
    assert.equal(await ask(imds, [1337, 1337]), 'ECONNREFUSED');
  });

  it('denies nothing to a packet socket, which needs NET_RAW', async () => {
    await succeeds(['--deny-imds']);
    const own = await pod.must('ip -o link show eth0');
    const gateway = await node.must('ip -o link show pod');
    const mac = (link: string) => /link\/ether (\S+)/.exec(link)?.[1] ?? '';
    const script = path.join(import.meta.dirname, 'packet-socket.pl');
    const send = (capability: string) =>
      pod.run([
        ...['setpriv', `--bounding-set=${capability}`, '--inh-caps=-all'],
        ...['perl', script, own.split(':')[0] ?? '', mac(own), mac(gateway), '10.1.0.2'],
      ]);
    assert.deepEqual(await send('+net_raw'), { code: 0, stdout: 'answered\n', stderr: '' });
    assert.match((await send('-net_raw')).stderr, /Operation not permitted/);
  });

  it('fails when another rule takes what it should deny', async () => {
    await iptables('-t mangle -A OUTPUT -p tcp --dport 80 -j DROP');
    await refuses(/did not reject a connection to 169\.254\.169\.254:80 \(it was unanswered\)/, ['--deny-imds']);
  });

  it('denies IMDS with legacy tables', async () => {
    await iptables('-t nat -A OUTPUT -p tcp --dport 1 -j ACCEPT', 'iptables-legacy');
    const directory = await mkdtemp(path.join(tmpdir(), 'netns-'));
    const env = { XTABLES_LOCKFILE: path.join(directory, 'lock') };
    await succeeds(['--iptables=legacy', '--deny-imds'], { as: asLegacy, env });
    assert.equal(await ask(), 'ECONNREFUSED');
    await rm(directory, { recursive: true });
  });

  it('names NET_ADMIN when the capability is missing', async () => {
    await refuses(/NET_ADMIN/, [], { as: ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-all'] });
  });

  it('runs with a read-only root', async () => {
    const readOnly = ['unshare', '--mount', 'sh', '-c', 'mount -o bind,remount,ro / && ! touch /run/x 2>/dev/null && exec "$@"', 'sh'];
    await succeeds([], { as: [...readOnly, ...asInit] });
  });

  describe('in a user namespace', () => {
    let directory: string;
    const isolated = async (as: readonly string[], ...flags: string[]) => {
      const program = [path.join(directory, 'bun'), '--smol', '--no-env-file', path.join(directory, 'sidecar.js')];
      const env = { BUN_JSC_useJIT: '0', XTABLES_LOCKFILE: path.join(directory, 'lock') };
      const { code, stdout, stderr } = await pod.run([...inPodUsers(pod), ...as, ...program, 'init', ...addresses, ...flags], { env });
      assert.equal(code, 0, stderr);
      return stdout;
    };

    beforeEach(async () => {
      await pod.must('ip link del eth0');
      await pod.close();
      pod = await createNamespace({ ownUsers: true });
      await connectPod();
      // The users of the pod may not read this repository.
      directory = await mkdtemp(path.join(tmpdir(), 'netns-'));
      await chmod(directory, 0o777);
      await Promise.all([copyFile(bun, path.join(directory, 'bun')), copyFile(bundle, path.join(directory, 'sidecar.js'))]);
    });
    afterEach(() => rm(directory, { recursive: true }));

    for (const [backend, as] of [
      ['nft', asInit],
      ['legacy', asLegacy],
    ] as const)
      it(`redirects every user except for the proxy, or denies, with ${backend} tables`, async () => {
        assert.match(await isolated(as, `--iptables=${backend}`, '--block-wireserver'), /redirect verified.*own listener/);
        await serve(pod, 'proxy', '127.0.0.1:2579');
        const proxy = outsideId(25790);
        assert.equal(await ask(imds, [proxy, proxy]), 'imds');
        for (const id of [outsideId(0), outsideId(1000), 25790]) assert.equal(await ask(imds, [id, id]), 'proxy', String(id));
        assert.equal(await ask(`${wireServer}:80`), 'ECONNREFUSED');
        assert.match(await isolated(as, `--iptables=${backend}`, '--deny-imds'), /denial verified/);
        assert.equal(await ask(imds, [proxy, proxy]), 'ECONNREFUSED');
      });
  });

  it('loads nothing in a pod without an IPv4 route', async () => {
    await pod.must('ip route del default');
    assert.match(await succeeds(), /no IPv4 route/);
    assert.doesNotMatch(await rules(), /aad-metadata/);
  });

  it("loads nothing in the host's network namespace", async () => {
    await refuses(/host's network namespace/, [], { args: ['--pod-ip=10.0.0.4', '--host-ip=10.0.0.4'] });
    assert.doesNotMatch(await rules(), /aad-metadata/);
  });

  it('undoes a load that fails after its first table', async () => {
    // The last nat rule is spoiled, after the filter table is committed.
    const directory = await mkdtemp(path.join(tmpdir(), 'netns-'));
    // All nft tools are one binary, so the wrapper replaces all of them.
    const real = (await pod.must(['sh', '-c', 'readlink -f "$(command -v iptables-nft-restore)"'])).trim();
    await copyFile(real, path.join(directory, 'real'));
    const spoil = "sed 's/-j REDIRECT --to-ports 2579/-m owner --uid-owner nobody-of-that-name -j REDIRECT --to-ports 2579/'";
    const wrapper = path.join(directory, 'wrapper');
    await writeFile(wrapper, `#!/bin/sh\nname=$(basename "$0")\n${spoil} | exec ${directory}/real "$name" "$@"\n`, { mode: 0o755 });
    const replaced = ['unshare', '--mount', 'sh', '-c', `mount --bind ${wrapper} ${real} && exec "$@"`, 'sh'];
    await iptables('-t nat -A OUTPUT -p tcp -j ACCEPT');
    await refuses(/iptables-nft-restore failed: .*nobody-of-that-name/, ['--block-wireserver'], { as: replaced });
    const left = await rules();
    assert.doesNotMatch(left, /aad-metadata/);
    assert.match(left, /-A OUTPUT -p tcp -j ACCEPT/);
    await rm(directory, { recursive: true });
  });

  it('runs again after a dockerd of the pod has made legacy tables', async () => {
    await succeeds();
    await iptables('-t nat -A PREROUTING -m addrtype --dst-type LOCAL -p tcp -j ACCEPT', 'iptables-legacy');
    await iptables('-A FORWARD -j ACCEPT', 'iptables-legacy');
    assert.match(await succeeds(), /redirect verified/);
    await serve(pod, 'proxy', '127.0.0.1:2579');
    assert.deepEqual([await ask(), await ask(imds, [25790, 25790])], ['proxy', 'imds']);
  });

  it('names the chart value for legacy tables, and works with it and NET_RAW', async () => {
    await iptables('-t nat -A OUTPUT -p tcp --dport 1 -j ACCEPT', 'iptables-legacy');
    await refuses(/iptables=legacy/);
    await refuses(/NET_RAW/, ['--iptables=legacy']);
    const directory = await mkdtemp(path.join(tmpdir(), 'netns-'));
    const env = { XTABLES_LOCKFILE: path.join(directory, 'lock') };
    await succeeds(['--iptables=legacy', '--block-wireserver'], { as: asLegacy, env });
    const first = await rules('iptables-legacy-save');
    await succeeds(['--iptables=legacy', '--block-wireserver'], { as: asLegacy, env });
    const counters = (text: string) => text.replaceAll(/\[\d+:\d+\]/g, '');
    assert.equal(counters(await rules('iptables-legacy-save')), counters(first));
    await serve(pod, 'proxy', '127.0.0.1:2579');
    assert.equal(await ask(), 'proxy');
    assert.equal(await ask(imds, [25790, 25790]), 'imds');
    await rm(directory, { recursive: true });
  });

  after(() => assert.equal(open.length, 0));
});
