// An identity is federated and attached again while its pods ask for tokens: no request fails.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { annotations } from '../../../api/names.ts';
import { azureIdentities } from '../../../lib/kube/resources.ts';
import { idOf, pool1 } from '../azure/fixtures.ts';
import { call, tokenPath } from '../azure/requests.ts';
import type { RunningProxy } from '../sidecar/process.ts';
import type { BrokerService } from './broker-service.ts';
import { serveBroker, serviceFlag } from './broker-service.ts';
import { federationFlags } from './federation.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';
import { annotationOf } from './harness/observations.ts';

const pods = Array.from({ length: 20 }, (_, index) => `web-${index}`);
/** All pods together ask 50 times a second, where the machine can do that. */
const pauseMs = 400;

let harness: Harness;
let broker: BrokerService;

before(async () => {
  harness = await startHarness();
  broker = await serveBroker(harness);
  const flags = await federationFlags(harness, broker);
  await harness.createNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await harness.createIdentity('writer');
  await harness.createBinding('writer', 'writer', 'write');
  await harness.startController([serviceFlag, ...flags.controller]);
  await broker.startReplica({ flags: flags.broker });
});
after(async () => {
  await broker?.stop();
  await harness?.stop();
});

interface Load {
  asked: number;
  failures: string[];
  stop(): Promise<void>;
}

/** Half of the requests are for a resource that nobody has asked for before. */
function ask(sidecars: readonly RunningProxy[]): Load {
  let stopped = false;
  const load: Load = { asked: 0, failures: [], stop: async () => undefined };
  const loops = sidecars.map(async ({ url }, pod) => {
    for (let index = 0; !stopped; index += 1) {
      const resource = index % 2 === 0 ? 'https://vault.azure.net' : `https://resource-${pod}-${index}.example`;
      const path = `${tokenPath}?resource=${encodeURIComponent(resource)}`;
      const { status, text } = await call(url, path, { headers: { metadata: 'true' } });
      load.asked += 1;
      if (status !== 200) load.failures.push(`${resource}: ${status} ${text}`);
      await delay(pauseMs);
    }
  });
  load.stop = async () => {
    stopped = true;
    await Promise.all(loops);
  };
  return load;
}

const annotate = (value: string | null) =>
  harness.patch(azureIdentities, 'writer', { metadata: { annotations: { [annotations.assignment]: value } } });

it('keeps the tokens of twenty running pods while their identity is switched', async (t) => {
  for (const pod of pods) await harness.createPod(pod, 'write');
  const objects = pods.map((pod) => `${pod}-default-writer`);
  await harness.untilAssigned(...objects);
  const sidecars = await Promise.all(pods.map((pod) => broker.startSidecar(t, pod)));
  const load = ask(sidecars);
  t.after(() => load.stop());
  const allOn = (scope: string) =>
    objects.every((name) => annotationOf(harness.find(name), 'scope')?.toLowerCase() === scope.toLowerCase());
  const nextRound = async () => {
    const { asked } = load;
    await harness.until(() => load.asked >= asked + 3 * pods.length, 'three more requests of each pod');
  };

  await nextRound();
  await annotate('federate');
  await harness.until(() => allOn(idOf('writer')), 'all objects federated');
  await harness.until(() => !harness.attached().includes('writer'), 'an identity that is detached');
  await nextRound();
  await annotate(null);
  await harness.until(() => allOn(pool1), 'all objects attached');
  await nextRound();

  await load.stop();
  assert.deepEqual(load.failures, []);
  const record = harness.emulator.state().identities.get(idOf('writer').toLowerCase());
  assert.equal(record?.federated.length, 1);
});
