// The DaemonSet of the node endpoint: off by default, confined, and placed by the values of aad-pod-identity.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { brokerAudience, caBundleConfigMapName, nodeServiceAccountName, ports } from '../../api/names.ts';
import { settings as brokerSettings } from '../../broker/settings.ts';
import { settings as controllerSettings } from '../../controller/settings.ts';
import { at, stringAt } from '../../lib/kube/objects.ts';
import { parseSettings } from '../../lib/settings.ts';
import { readHostSettings } from '../../sidecar/settings.ts';
import type { KubeObject } from './render.ts';
import { environmentOf, find, render, template } from './render.ts';

const on = ['--set', 'nodeEndpoint.enabled=true'];
const specOf = (objects: KubeObject[]) => {
  const spec = at(find(objects, 'DaemonSet', nodeServiceAccountName), 'spec', 'template', 'spec');
  return spec as KubeObject & { containers: [KubeObject & { args: string[] }]; volumes: unknown };
};

describe('the node endpoint of the chart', () => {
  let objects: KubeObject[];
  before(async () => {
    objects = await render(...on);
  });

  it('is off by default, and unknown to controller and broker then', async () => {
    const off = await render();
    assert.doesNotMatch(JSON.stringify(off), /aad-pod-identity-node|NODE_ENDPOINT_DRIVERS/);
  });

  it('has no rights, no host path, no capability and no port on the node', () => {
    const spec = specOf(objects);
    assert.equal(spec.hostNetwork, true);
    assert.equal(spec.automountServiceAccountToken, false);
    assert.equal(at(find(objects, 'ServiceAccount', nodeServiceAccountName), 'automountServiceAccountToken'), false);
    assert.doesNotMatch(JSON.stringify(spec), /hostPath|hostPID|hostIPC|"add"|"ports"/);
    const [container] = spec.containers;
    assert.deepEqual(container.securityContext, {
      allowPrivilegeEscalation: false,
      privileged: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    assert.deepEqual(at(spec, 'securityContext', 'runAsNonRoot'), true);
    const roles = objects.filter(({ kind }) => kind === 'ClusterRoleBinding' || kind === 'RoleBinding');
    assert.doesNotMatch(JSON.stringify(roles), new RegExp(nodeServiceAccountName));
  });

  it('reaches the broker with a token for it, by the address of its Service', () => {
    const spec = specOf(objects);
    const [command, ...args] = spec.containers[0].args;
    assert.equal(command, 'host');
    assert.equal(spec.enableServiceLinks, true);
    const settings = readHostSettings(args.map((arg) => arg.replace('$(AAD_POD_IDENTITY_BROKER_SERVICE_HOST)', '10.96.0.7')));
    assert.equal(settings.broker.url, `https://aad-pod-identity-broker.system.svc:${ports.broker.api}`);
    assert.equal(settings.broker.address, `10.96.0.7:${ports.broker.api}`);
    assert.match(JSON.stringify(spec.volumes), new RegExp(`"audience":"${brokerAudience}".*"name":"${caBundleConfigMapName}"`));
  });

  it('gives its drivers to controller and broker', async () => {
    const given = await render(...on, '--set', 'nodeEndpoint.drivers={a.csi.test,vendor/flex}');
    for (const [objects_, drivers] of [
      [objects, ['secrets-store.csi.k8s.io', 'azure/kv']],
      [given, ['a.csi.test', 'vendor/flex']],
    ] as const) {
      const read = (deployment: string, table: object) =>
        parseSettings(table as typeof brokerSettings, [], environmentOf(objects_, deployment)).nodeEndpointDrivers;
      assert.deepEqual(read('aad-pod-identity-broker', brokerSettings), drivers);
      assert.deepEqual(read('aad-pod-identity-controller', controllerSettings), drivers);
    }
    const { stderr } = await template(...on, '--set', 'nodeEndpoint.drivers=null');
    assert.match(stderr, /drivers/);
  });

  it('runs where the values of aad-pod-identity put NMI', async () => {
    const spec = specOf(objects);
    assert.deepEqual(spec.nodeSelector, { 'kubernetes.io/os': 'linux' });
    assert.deepEqual(spec.tolerations, [{ operator: 'Exists' }]);
    assert.equal(spec.priorityClassName, 'system-node-critical');
    const values = [
      'nmi.nodeSelector.pool=apps',
      'nmi.tolerations[0].key=dedicated',
      'nmi.tolerations[0].operator=Exists',
      'nmi.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight=7',
      'nmi.priorityClassName=high',
    ];
    const placed = specOf(await render(...on, ...values.flatMap((value) => ['--set', value])));
    assert.deepEqual(placed.tolerations, [{ key: 'dedicated', operator: 'Exists' }]);
    assert.deepEqual(placed.nodeSelector, { 'kubernetes.io/os': 'linux', pool: 'apps' });
    assert.deepEqual(placed.affinity, { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 7 }] } });
    assert.equal(placed.priorityClassName, 'high');
  });

  it('can reach the broker through its NetworkPolicy, from CIDRs if given', async () => {
    const rulesFor = async (...more: string[]) => {
      const rendered = await render(...on, '--set', 'networkPolicy.enabled=true', ...more);
      const ingress = at(find(rendered, 'NetworkPolicy', 'aad-pod-identity-broker'), 'spec', 'ingress');
      const rules: unknown[] = Array.isArray(ingress) ? ingress : [];
      return rules
        .filter((rule) => JSON.stringify(at(rule, 'ports')).includes(`"port":${ports.broker.api}`))
        .map((rule) => at(rule, '_from'));
    };
    assert.equal((await rulesFor())[1], undefined);
    assert.deepEqual((await rulesFor('--set', 'networkPolicy.nodeCIDRs={10.1.0.0/16}'))[1], [{ ipBlock: { cidr: '10.1.0.0/16' } }]);
  });

  it('is asked by kubelet whether it is ready, at the loopback address', () => {
    const probe = at(specOf(objects).containers[0], 'readinessProbe', 'httpGet');
    assert.deepEqual([stringAt(probe, 'host'), at(probe, 'port'), stringAt(probe, 'path')], ['127.0.0.1', 2579, '/healthz']);
  });
});
