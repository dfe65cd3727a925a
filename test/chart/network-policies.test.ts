// NetworkPolicies of the chart: every port of our pods has a rule, and no rule names what our pods do not have.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { bindingLabel, ports } from '../../api/names.ts';
import { at } from '../../lib/kube/objects.ts';
import type { KubeObject } from './render.ts';
import { find, podOf, render } from './render.ts';

interface Rule {
  ports: { port: number; protocol: string }[];
  /** `from`, as client-node names it. */
  _from?: Record<string, unknown>[];
}

const programs = ['broker', 'controller', 'webhook'] as const;
const nameOf = (program: string) => `aad-pod-identity-${program}`;
const monitoring = {
  namespaceSelector: { matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'In', values: ['monitoring', 'probes'] }] },
};

function rulesOf(objects: readonly KubeObject[], program: string): readonly Rule[] {
  const { spec } = find(objects, 'NetworkPolicy', nameOf(program)) as { spec: { ingress?: Rule[] } };
  return spec.ingress ?? [];
}

/** Who may reach that port of a program; `all` for a rule without sources. */
function sources(objects: readonly KubeObject[], program: string, port: number): unknown[] {
  const rules = rulesOf(objects, program).filter((rule) => rule.ports.some((one) => one.port === port));
  return rules.flatMap((rule): unknown[] => rule._from ?? ['all']);
}

describe('network policies', () => {
  const enabled = ['--set', 'networkPolicy.enabled=true'];
  let closed: KubeObject[];
  let open: KubeObject[];
  before(async () => {
    closed = await render(...enabled);
    open = await render(
      ...enabled,
      '--set',
      'networkPolicy.metricsNamespaces={monitoring,probes},networkPolicy.apiServerCIDRs={10.0.0.0/8,fd00::/8}',
    );
  });

  it('are not made unless they are enabled', async () => {
    const objects = await render('--set', 'networkPolicy.metricsNamespaces={monitoring}');
    assert.equal(
      objects.some((one) => one.kind === 'NetworkPolicy'),
      false,
    );
  });

  for (const program of programs) {
    it(`select exactly the pods of the ${program}, for ingress alone`, () => {
      const policy = find(closed, 'NetworkPolicy', nameOf(program));
      assert.deepEqual(at(policy, 'spec', 'podSelector'), at(find(closed, 'Deployment', nameOf(program)), 'spec', 'selector'));
      assert.deepEqual(at(policy, 'spec', 'policyTypes'), ['Ingress']);
      assert.equal(at(policy, 'metadata', 'namespace'), 'system');
    });

    it(`name each port of the ${program} once, and no other`, () => {
      const { containers } = podOf(open, nameOf(program)).spec as { containers: { ports: { containerPort: number }[] }[] };
      const listening = containers.flatMap((container) => container.ports.map((one) => one.containerPort));
      const named = rulesOf(open, program).flatMap((rule) => rule.ports);
      assert.deepEqual(named.map(({ port }) => port).sort(), listening.sort());
      assert.ok(named.every(({ protocol }) => protocol === 'TCP'));
    });

    it(`open metrics and probes of the ${program} to the chosen namespaces only`, () => {
      for (const port of [ports[program].metrics, ports[program].probes]) {
        assert.deepEqual(sources(closed, program, port), []);
        assert.deepEqual(sources(open, program, port), [monitoring]);
      }
    });
  }

  it('open the broker to labelled pods of all namespaces, and to the controller', () => {
    const labelled = { namespaceSelector: {}, podSelector: { matchExpressions: [{ key: bindingLabel, operator: 'Exists' }] } };
    for (const objects of [closed, open]) {
      const controller = { podSelector: at(find(objects, 'Deployment', nameOf('controller')), 'spec', 'selector') };
      assert.deepEqual(sources(objects, 'broker', ports.broker.api), [labelled, controller]);
    }
  });

  it('leave the webhook open to all unless CIDRs of the API server are given', () => {
    assert.deepEqual(sources(closed, 'webhook', ports.webhook.admission), ['all']);
    const cidrs = [{ ipBlock: { cidr: '10.0.0.0/8' } }, { ipBlock: { cidr: 'fd00::/8' } }];
    assert.deepEqual(sources(open, 'webhook', ports.webhook.admission), cidrs);
  });
});
