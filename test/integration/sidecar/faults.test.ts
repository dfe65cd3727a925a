// Each fault of IMDS that the emulator knows, at the real process.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { attach, clientIds, rowOf, startAzure } from './azure.ts';
import type { FakeBroker } from './fake-broker.ts';
import { startFakeBroker } from './fake-broker.ts';
import { startProxy } from './process.ts';

const faults: Record<string, unknown>[] = [
  { fault: 'latency', ms: 1500, count: 2 },
  { fault: 'hang', count: 1 },
  { fault: 'reset', count: 2 },
  { fault: 'half-open', count: 1 },
  { fault: 'slow-body', ms: 1500, count: 1 },
  { fault: 'imds-404', count: 3 },
  { fault: 'imds-410', count: 1 },
  { fault: 'imds-429', count: 3 },
  { fault: 'imds-500-text', count: 3 },
  { fault: 'identity-not-found', count: 3 },
];

// These tests take real time, so they run at once, each with its own emulator and sidecar.
describe('faults of IMDS', { concurrency: true }, () => {
  let broker: FakeBroker;
  before(async () => {
    broker = await startFakeBroker();
    broker.set([rowOf('reader')]);
  });
  after(() => broker.stop());

  for (const fault of faults) {
    it(`answers with a token in spite of ${String(fault.fault)} of IMDS`, async () => {
      const emulator = await startAzure(['reader']);
      const proxy = await startProxy({ imds: emulator.urls.imds, broker });
      try {
        emulator.addFault({ service: 'imds', ...fault });
        const answer = await fetch(`${proxy.url}/metadata/identity/oauth2/token?resource=r`, { headers: { Metadata: 'true' } });
        const body: Record<string, string> = JSON.parse(await answer.text());
        assert.equal(answer.status, 200, JSON.stringify(body));
        assert.equal(body.client_id, clientIds.reader);
        assert.ok(
          emulator.log.list().some((entry) => entry.kind === 'request' && entry.faults.length > 0),
          'the fault happened',
        );
      } finally {
        await proxy.stop();
        await emulator.stop();
      }
    });
  }

  it('names the annotation federate while IMDS answers nothing', async () => {
    const emulator = await startAzure(['reader']);
    const proxy = await startProxy({ imds: emulator.urls.imds, broker });
    try {
      emulator.addFault({ service: 'imds', fault: 'hang', count: 1_000 });
      const answer = await fetch(`${proxy.url}/metadata/identity/oauth2/token?resource=r`, { headers: { Metadata: 'true' } });
      assert.equal(answer.status, 503);
      assert.match(await answer.text(), /answered nothing since .*kubectl annotate azureidentity .*assignment=federate/);
    } finally {
      await proxy.stop();
      await emulator.stop();
    }
  });

  it('answers with a token once IMDS knows a fresh assignment', async () => {
    const emulator = await startAzure([]);
    const fresh = await startFakeBroker();
    fresh.set([rowOf('reader', { assignedAt: new Date().toISOString() })]);
    const proxy = await startProxy({ imds: emulator.urls.imds, broker: fresh });
    try {
      const asked = fetch(`${proxy.url}/metadata/identity/oauth2/token?resource=r`, { headers: { Metadata: 'true' } });
      await emulator.log.waitFor((entry) => entry.kind === 'request' && entry.status === 400);
      attach(emulator, ['reader']);
      assert.equal((await asked).status, 200);
    } finally {
      await proxy.stop();
      await fresh.stop();
      await emulator.stop();
    }
  });
});
