// values-multitenant.yaml: the chart takes it, the programs take what the chart makes of it, and docs/security.md shows it as it is.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { settings as brokerSettings } from '../../broker/settings.ts';
import { settings as controllerSettings } from '../../controller/settings.ts';
import { parseSettings } from '../../lib/settings.ts';
import { settings as webhookSettings } from '../../webhook/settings.ts';
import type { KubeObject } from './render.ts';
import { chart, environmentOf, find, helm, render, required } from './render.ts';

const file = path.join(chart, 'values-multitenant.yaml');
const page = path.resolve(chart, '../../docs/security.md');

/** What a program reads from the variables that the chart gives it. */
function settingsOf(objects: readonly KubeObject[], program: string, table: Parameters<typeof parseSettings>[0]): Record<string, unknown> {
  return parseSettings(table, [], environmentOf(objects, `aad-pod-identity-${program}`));
}

describe('values-multitenant.yaml', () => {
  let objects: KubeObject[];
  before(async () => {
    objects = await render('--values', file);
  });

  it('passes helm lint', async () => {
    const { code, stdout, stderr } = await helm('lint', '--strict', '--kube-version', '1.36.3', ...required, '--values', file, chart);
    assert.equal(code, 0, stdout + stderr);
  });

  it('is the block of settings in docs/security.md', () => {
    const [, block] = /^```yaml\n([\s\S]*?)^```$/m.exec(readFileSync(page, 'utf8')) ?? [];
    assert.equal(block, readFileSync(file, 'utf8'));
  });

  it('limits controller and broker to one namespace each and to the listed ids', () => {
    const controller = settingsOf(objects, 'controller', controllerSettings);
    const broker = settingsOf(objects, 'broker', brokerSettings);
    for (const { forceNamespaced, identityPolicy } of [controller, broker]) {
      assert.equal(forceNamespaced, true);
      assert.ok(Array.isArray(identityPolicy) && identityPolicy.length === 2);
      for (const entry of identityPolicy) assert.deepEqual(Object.keys(entry), ['namespaces', 'resourceIDs']);
    }
    assert.deepEqual(broker.identityPolicy, controller.identityPolicy);
    assert.ok(Array.isArray(controller.azureScopes) && controller.azureScopes.length === 1);
    assert.equal(controller.ignoreUpstreamLock, true);
    assert.deepEqual([controller.runtimeExceptions, broker.runtimeExceptions], ['deny', 'deny']);
  });

  it('makes the webhook refuse host network pods and the sidecar block the node', () => {
    const { hostNetworkPods, blockWireServer, blockInstanceMetadata } = settingsOf(objects, 'webhook', webhookSettings);
    assert.deepEqual(
      { hostNetworkPods, blockWireServer, blockInstanceMetadata },
      {
        hostNetworkPods: 'deny',
        blockWireServer: true,
        blockInstanceMetadata: true,
      },
    );
  });

  it('keeps Secrets of other namespaces from the broker', () => {
    const { rules } = find(objects, 'ClusterRole', 'aad-pod-identity-broker');
    assert.doesNotMatch(JSON.stringify(rules), /"secrets"/);
  });

  it('lets the roles for users write no AzureAssignedIdentity', async () => {
    const roles = (await render('--values', file, '--set', 'rbac.createUserFacingClusterRoles=true')).filter(
      (one) => one.kind === 'ClusterRole' && JSON.stringify(one).includes('aggregate-to-'),
    );
    assert.equal(roles.length, 3);
    const rules = roles.flatMap((role) => role.rules as { resources: string[]; verbs: string[] }[]);
    const onAssigned = rules.filter(({ resources }) => resources.includes('azureassignedidentities'));
    assert.deepEqual(
      onAssigned.map(({ verbs }) => verbs),
      [['get', 'list', 'watch']],
    );
    assert.doesNotMatch(JSON.stringify(rules), /"endpoints"|"\*"/);
  });
});
