// Pods whose identities are federated, and what can be wrong there. API server, controller, broker and the emulated Entra are real; no kubelet runs.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { annotations } from '../../../api/names.ts';
import type { Code } from '../../../cli/codes.ts';
import { issuer } from '../../cluster/components.ts';
import { app, idOf } from '../azure/fixtures.ts';
import type { BrokerService } from '../controller/broker-service.ts';
import { serveBroker, serviceFlag } from '../controller/broker-service.ts';
import { federationFlags } from '../controller/federation.ts';
import type { Harness } from '../controller/harness/harness.ts';
import { startHarness } from '../controller/harness/harness.ts';
import { brokenOf, reportOf, runPlugin } from './plugin.ts';
import { createReadyBroker, createRunningPod } from './running-pod.ts';

const subject = 'system:serviceaccount:default:aad-pod-identity-broker';
const trusted = [{ name: 'cluster', issuer, subject }];

interface Fault {
  name: string;
  code: Code;
  message: RegExp;
  command: RegExp;
  federated: object[];
  /** AADSTS number of the answer of Entra for this identity. */
  aadsts?: number;
}

const faults: Fault[] = [
  {
    name: 'missing',
    code: 'FederatedCredentialMissing',
    message: /az identity federated-credential create .*--subject '?system:serviceaccount:default:aad-pod-identity-broker/,
    command: /^az identity federated-credential list --identity-name missing --resource-group Nodes$/,
    federated: [],
  },
  {
    name: 'unreachable',
    code: 'IssuerUnreachable',
    message: /Entra cannot read the keys of issuer 'https:\/\/issuer\.example\/cluster'/,
    command: /openid-configuration/,
    federated: trusted,
    aadsts: 90061,
  },
];

let harness: Harness;
let broker: BrokerService;

async function bind(name: string): Promise<void> {
  await harness.createIdentity(name, {}, { annotations: { [annotations.assignment]: 'federate' } });
  await harness.createBinding(name, name, name);
  await createRunningPod(harness, name);
}

before(async () => {
  const identities = [...faults.map(({ name, federated }) => ({ name, federated })), { name: 'healthy', federated: trusted }];
  // The scale set of the harness carries `third`.
  const azure = { identities: [...identities, { name: 'third' }], apps: [{ clientId: app.clientId, secrets: [app.secret] }] };
  harness = await startHarness({ azure });
  await createReadyBroker(harness);
  broker = await serveBroker(harness);
  const flags = await federationFlags(harness, broker);
  for (const { name } of identities) await harness.createNode(`node-${name}`, '');
  for (const { name, aadsts } of faults)
    if (aadsts !== undefined) harness.emulator.addFault({ fault: 'entra-error', aadsts, identity: idOf(name), count: null });
  await harness.startController([serviceFlag, ...flags.controller, '--federation-manage-credentials=false']);
  await broker.startReplica({ flags: flags.broker });
});
after(async () => {
  await broker?.stop();
  await harness?.stop();
});

describe('check pod for a federated identity', () => {
  for (const { name, code, message, command } of faults)
    it(`names ${code}: ${name}`, async () => {
      await bind(name);
      await harness.untilReason(`${name}-default-${name}`, code);
      const report = await reportOf(harness.plane.kubeconfig, 'check', 'pod', name, '--release-namespace=default');
      assert.equal(report.firstBroken, code);
      const found = brokenOf(report);
      assert.match(found.message, message);
      assert.match(found.command, command);
    });

  it('finds nothing broken on a healthy pod', async () => {
    await bind('healthy');
    await harness.untilAssigned('healthy-default-healthy');
    const { code, stdout } = await runPlugin(harness.plane.kubeconfig, ['check', 'pod', 'healthy', '--release-namespace=default']);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /\[ok\] +AzureIdentity default\/healthy is assigned, on userAssignedIdentities healthy/);
  });
});
