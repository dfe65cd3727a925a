// docs/versions.md names the versions that the tests and the product use.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { stringAt } from '../common/records.ts';

const root = path.resolve(import.meta.dirname, '..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const page = read('docs/versions.md').replaceAll(/\s+/g, ' ');

/** Of a Go module that the test cluster is built from. */
function goVersion(folder: string, module: string): string {
  const version = new RegExp(`^(?:require )?\\s*${module} v(\\S+)`, 'm').exec(read(`test/cluster/go/${folder}/go.mod`))?.[1];
  assert.ok(version !== undefined, `${folder}/go.mod requires ${module}`);
  return version;
}

function packageVersion(name: string): string {
  const manifest: unknown = JSON.parse(read('package.json'));
  const version = stringAt(manifest, 'dependencies', name) ?? stringAt(manifest, 'devDependencies', name);
  assert.ok(version !== undefined, `package.json has ${name}`);
  return version;
}

describe('docs/versions.md', () => {
  it('names the versions of Kubernetes that the tests run', () => {
    assert.ok(page.includes(`| ${goVersion('kubernetes', 'k8s.io/kubernetes')} | everything`));
    assert.ok(page.includes(`| ${goVersion('kubernetes-oldest', 'k8s.io/kubernetes')} | its API server`));
  });

  it('names the oldest Kubernetes that the chart accepts', () => {
    const chart: unknown = parse(read('charts/aad-pod-identity-webhook/Chart.yaml'));
    const oldest = /^>=(\d+\.\d+)\.0-0$/.exec(stringAt(chart, 'kubeVersion') ?? '')?.[1];
    assert.ok(oldest !== undefined && page.includes(`The chart needs Kubernetes ${oldest} or later`));
  });

  it('names the versions of other programs that the tests use', () => {
    assert.ok(page.includes(`The tests use ${goVersion('helm', 'helm.sh/helm/v3')}.`));
    assert.ok(page.includes(`cert-manager ${goVersion('cert-manager', 'github.com/cert-manager/cert-manager')}.`));
    assert.ok(page.includes(`Cilium ${goVersion('cilium', 'github.com/cilium/cilium')}.`));
  });

  it('names the versions of the libraries of Azure', () => {
    assert.ok(page.includes(`\`@azure/identity\` ${packageVersion('@azure/identity')}`));
    assert.ok(page.includes(`MSAL Node ${packageVersion('@azure/msal-node')}`));
    assert.ok(page.includes(`\`@azure/arm-compute\` ${packageVersion('@azure/arm-compute')}`));
  });
});
