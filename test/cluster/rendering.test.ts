// Configuration of a cluster's programs, as far as a mistake would be hard to see from outside.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { makeUsers, parseKubeconfig, renderKubeconfig, renderTokenFile } from './access.ts';
import { hierarchies } from './cgroups.ts';
import { quote, renderSetup } from './namespace.ts';
import { cniConfig, containerdConfig, kernelSettings, kubeletConfig } from './node-config.ts';
import { clusterPlaces } from './state.ts';

test('reads a kubeconfig back as it was written', () => {
  const { admin } = makeUsers('node-0');
  const text = renderKubeconfig('https://127.0.0.1:1', 'PEM\n', admin);
  assert.deepEqual(parseKubeconfig(text), { ca: 'PEM\n', token: admin.token, server: 'https://127.0.0.1:1' });
});

test('writes a token for each user, with its groups in one quoted column', () => {
  const users = makeUsers('node-0');
  const lines = renderTokenFile(users).trimEnd().split('\n');
  assert.equal(new Set(lines.map((line) => line.split(',')[0])).size, Object.keys(users).length);
  assert.ok(lines.some((line) => line.endsWith(',system:node:node-0,system:node:node-0,"system:nodes"')));
});

test('quotes a word for the shell', () => {
  for (const word of ["it's", '$HOME `x` "y"', '\\', 'a b']) {
    assert.equal(spawnSync('sh', ['-c', `printf %s ${quote(word)}`], { encoding: 'utf8' }).stdout, word);
  }
});

test('keeps a needed folder visible below a hidden one', () => {
  const setup = renderSetup('/var/lib/ci/cluster', ['/var/lib/ci/cluster', '/home/x'], ['node', 'inside.ts']);
  const lines = setup.split('\n');
  const held = lines.indexOf("exec 4<'/var/lib/ci/cluster'");
  const covered = lines.indexOf('mount -t tmpfs -o mode=755 tmpfs /var/lib');
  const bound = lines.findIndex((line) => line.endsWith("/proc/self/fd/4 '/var/lib/ci/cluster'"));
  assert.ok(held >= 0 && held < covered && covered < bound, setup);
  assert.ok(!setup.includes('/home/x'), 'what is not below a hidden folder needs nothing');
});

test('sets what kubelet expects of the kernel, so that kubelet changes nothing', () => {
  const setup = renderSetup('/c', [], ['node']);
  for (const name of Object.keys(kernelSettings)) assert.ok(setup.includes(` '/c/kernel/${name}' /proc/sys/${name}`), name);
});

test('keeps everything that a cluster writes in its own folder', () => {
  const containerd = containerdConfig({
    folder: '/c',
    snapshotter: 'native',
    sandboxImage: 'pause',
    runc: '/r/runc',
    cniPrograms: '/r/cni',
  });
  assert.match(containerd, /^root = "\/c\/containerd"$/m);
  assert.match(containerd, /^conf_dir = "\/c\/cni"$/m);
  assert.match(JSON.stringify(cniConfig('/c')), /"dataDir":"\/c\//);
  const kubelet = JSON.stringify(kubeletConfig({ folder: '/c', cgroup: '/g', clientCA: '/c/ca', providerID: 'azure:///x' }));
  assert.match(kubelet, /"cgroupRoot":"\/g"/);
  assert.doesNotMatch(kubelet, /"\/(var|usr|etc)/);
});

test('finds control group hierarchies of both versions', () => {
  const mounts =
    'tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n';
  assert.deepEqual(hierarchies(mounts), [
    { folder: '/sys/fs/cgroup/memory', version: 1 },
    { folder: '/sys/fs/cgroup/unified', version: 2 },
  ]);
});

test('refuses a cluster name that could leave its folder', () => {
  for (const name of ['', '..', 'a/b', 'A', '-a', 'a-', 'a'.repeat(31)])
    assert.throws(() => clusterPlaces(name), /lower-case letters, digits and dashes/);
  assert.notEqual(clusterPlaces('a').cgroup, clusterPlaces('b').cgroup);
});
