import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { linkFlags, reportsVersion, requiredVersion } from './binaries.ts';

const goMod = (kind: string) => readFileSync(path.join(import.meta.dirname, 'go', kind, 'go.mod'), 'utf8');

test('reads versions from go.mod in every form of a line', () => {
  assert.equal(requiredVersion('require k8s.io/kubernetes v1.2.3\n', 'k8s.io/kubernetes'), 'v1.2.3');
  assert.equal(requiredVersion('require (\n\tk8s.io/kubernetes v1.2.3 // indirect\n)\n', 'k8s.io/kubernetes'), 'v1.2.3');
  assert.throws(() => requiredVersion('tool k8s.io/kubernetes/cmd/kubelet\n', 'k8s.io/kubernetes'), /does not require/);
});

test('pins every program of the cluster', () => {
  assert.match(requiredVersion(goMod('kubernetes'), 'k8s.io/kubernetes'), /^v1\.\d+\.\d+$/);
  assert.match(requiredVersion(goMod('kubernetes'), 'go.etcd.io/etcd/server/v3'), /^v3\./);
  assert.match(requiredVersion(goMod('helm'), 'helm.sh/helm/v3'), /^v3\./);
});

test('accepts a program only at exactly the pinned version', () => {
  assert.ok(reportsVersion('kube-apiserver', 'Kubernetes v1.36.3\n', 'v1.36.3'));
  assert.ok(reportsVersion('kubectl', 'Client Version: v1.36.3\nKustomize Version: v5.5.0\n', 'v1.36.3'));
  assert.ok(reportsVersion('etcd', 'etcd Version: 3.6.8\nGit SHA: x\n', 'v3.6.8'));
  assert.ok(reportsVersion('helm', 'v3.20.2+gb1a2c3d\n', 'v3.20.2'), 'build metadata is no part of a version');
  for (const other of ['Kubernetes v1.36.30', 'Kubernetes v1.36.2', 'Kubernetes v1.36.3-rc.1', '']) {
    assert.ok(!reportsVersion('kube-apiserver', other, 'v1.36.3'), other);
  }
});

test('builds programs that report the pinned version', () => {
  assert.match(linkFlags('kubernetes', 'v1.36.3'), /gitVersion=v1\.36\.3 .*gitMajor=1 .*gitMinor=36 /);
  assert.match(linkFlags('helm', 'v3.20.2'), /version=v3\.20\.2$/);
});
