import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chartValueOf, withChartValues } from './chart-values.ts';

describe('withChartValues', () => {
  const settings = ['cloud', 'cloudConfig', 'leaseRenew', 'leaseDuration', 'metricsListen', 'clientId'];
  const cases: [title: string, message: string, expected: string][] = [
    ['names the value of a flag', '--client-id is missing', '--client-id is missing (chart value adminsecret.clientID)'],
    ['names the value of a variable', "LEASE_RENEW is 'x'", "LEASE_RENEW is 'x' (chart value controller.leaseRenew)"],
    [
      'names several values in the order of the message',
      '--lease-renew is 9: accepted is less than --lease-duration',
      '--lease-renew is 9: accepted is less than --lease-duration (chart values: --lease-renew is controller.leaseRenew, --lease-duration is controller.leaseDuration)',
    ],
    [
      'takes no flag for another one that begins alike',
      '--cloud-config is bad',
      '--cloud-config is bad (chart value controller.cloudConfig)',
    ],
    ['adds nothing for what the chart decides', "METRICS_LISTEN is 'x'", "METRICS_LISTEN is 'x'"],
    ['adds nothing where no setting is named', 'the kubeconfig has no current context', 'the kubeconfig has no current context'],
  ];
  for (const [title, message, expected] of cases) it(title, () => assert.equal(withChartValues(message, 'controller', settings), expected));
});

describe('chartValueOf', () => {
  it('tells settings of the webhook from those of the injected containers', () => {
    assert.equal(chartValueOf('webhook', 'drainDelay'), 'webhook.drainDelay');
    assert.equal(chartValueOf('webhook', 'proxyCpuLimit'), 'sidecar.proxyCpuLimit');
  });

  it('has none for the token of the broker, which the chart mounts', () => {
    assert.equal(chartValueOf('broker', 'federatedTokenFile'), undefined);
    assert.equal(chartValueOf('controller', 'federatedTokenFile'), 'adminsecret.workloadIdentity');
  });
});
