import assert from 'node:assert/strict';
import { before, beforeEach, describe, it } from 'node:test';
import pino from 'pino';
import { stringAt } from '../../common/records.ts';
import type { FakeClock } from '../../common/testing/fake-clock.ts';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { CertificateSource } from './certificate-source.ts';
import { dayMs } from './issue.ts';
import type { KeyPair } from './key-pair.ts';
import type { Rollover } from './rollover.ts';
import { createRollover } from './rollover.ts';
import type { TestAuthority } from './testing/certificates.ts';
import { createTestAuthority } from './testing/certificates.ts';

const dnsName = 'broker.system.svc';
const source: CertificateSource = {
  mode: 'provided',
  namespace: 'system',
  secret: 'tls',
  chartValue: 'certificates.provided.brokerSecret',
  dnsName,
};
const dataOf = ({ certificate, key }: KeyPair) => ({ 'tls.crt': certificate, 'tls.key': key });

describe('a rollover of certificates', () => {
  let old: TestAuthority;
  let fresh: TestAuthority;
  let first: KeyPair;
  let second: KeyPair;
  let clock: FakeClock;
  let others: string[];
  let changes: number;
  const logged: unknown[] = [];
  let rollover: Rollover;

  before(async () => {
    [old, fresh] = [await createTestAuthority(), await createTestAuthority()];
    [first, second] = [await old.issue(dnsName), await fresh.issue(dnsName)];
  });
  beforeEach(() => {
    clock = createFakeClock(Date.now());
    others = [];
    changes = 0;
    logged.length = 0;
    rollover = createRollover({
      log: pino({}, { write: (line: string) => void logged.push(JSON.parse(line)) }),
      clock,
      source,
      otherBundles: () => others,
      onChange() {
        changes += 1;
      },
    });
  });
  const serving = () => rollover.served?.certificate;
  const both = () => ({
    bundle: fresh.certificate + old.certificate,
    replaced: { bundle: old.certificate, at: new Date(clock.wall()) },
  });

  it('serves the first pair at once, and a renewed one of the same CA', async () => {
    rollover.secretChanged(dataOf(first));
    assert.equal(serving(), first.certificate);
    rollover.bundleChanged({ bundle: old.certificate });
    assert.equal(rollover.problem, undefined);
    const renewed = await old.issue(dnsName);
    rollover.secretChanged(dataOf(renewed));
    assert.equal(serving(), renewed.certificate);
    assert.equal(changes, 3);
  });

  it('serves a pair of a new CA five minutes after its CA was published', async () => {
    rollover.secretChanged(dataOf(first));
    rollover.bundleChanged({ bundle: old.certificate });
    rollover.secretChanged(dataOf(second));
    assert.equal(serving(), first.certificate, 'no client knows the new CA');
    await clock.advance(dayMs);
    rollover.bundleChanged(both());
    await clock.advance(5 * 60_000 - 1);
    assert.equal(serving(), first.certificate);
    await clock.advance(1);
    assert.equal(serving(), second.certificate);
    assert.equal(clock.timers, 0);
  });

  it('serves a pair of a CA at once that was published long ago', () => {
    rollover.secretChanged(dataOf(first));
    rollover.bundleChanged({ ...both(), replaced: { bundle: old.certificate, at: new Date(clock.wall() - 6 * 60_000) } });
    rollover.secretChanged(dataOf(second));
    assert.equal(serving(), second.certificate);
  });

  it('waits until clients that do not read the ConfigMap know the CA', () => {
    others = [old.certificate];
    rollover.secretChanged(dataOf(first));
    rollover.bundleChanged({ bundle: fresh.certificate + old.certificate });
    rollover.secretChanged(dataOf(second));
    assert.equal(serving(), first.certificate);
    others = [fresh.certificate + old.certificate];
    rollover.otherBundlesChanged();
    assert.equal(serving(), second.certificate);
  });

  it('does not wait where clients refuse the pair that is served', async () => {
    const third = await createTestAuthority();
    rollover.secretChanged(dataOf(first));
    rollover.bundleChanged({ bundle: fresh.certificate, replaced: { bundle: third.certificate, at: new Date(clock.wall()) } });
    assert.match(rollover.problem ?? '', /CAs of ConfigMap system\/aad-pod-identity-ca-bundle do not verify/);
    rollover.secretChanged(dataOf(second));
    assert.equal(serving(), second.certificate);
    assert.equal(rollover.problem, undefined);
  });

  it('keeps its pair when the Secret gets damaged', () => {
    rollover.secretChanged(dataOf(first));
    rollover.bundleChanged({ bundle: old.certificate });
    rollover.secretChanged({ 'tls.crt': second.certificate, 'tls.key': first.key });
    assert.equal(serving(), first.certificate);
    assert.equal(rollover.problem, undefined);
  });

  it('sets no timer after it is stopped', () => {
    rollover.secretChanged(dataOf(first));
    rollover.bundleChanged({ bundle: old.certificate });
    rollover.secretChanged(dataOf(second));
    rollover.bundleChanged(both());
    assert.equal(clock.timers, 1);
    rollover.stop();
    assert.equal(clock.timers, 0);
  });

  describe('names Secret, key and chart value', () => {
    const remedy = 'correct the Secret, or name another one by certificates.provided.brokerSecret';
    const problemWith = (data: Record<string, string> | undefined) => {
      if (data !== undefined) rollover.secretChanged(data);
      return rollover.problem;
    };

    it('of a Secret that does not exist, in the log too', () => {
      rollover.secretMissing();
      assert.equal(stringAt(logged[0], 'error'), `Secret system/tls does not exist: ${remedy}`);
      assert.equal(problemWith(undefined), `Secret system/tls does not exist: ${remedy}`);
    });
    it('of a Secret without a key', () => {
      assert.equal(problemWith({ 'tls.crt': first.certificate }), `Secret system/tls cannot be used, since tls.key is missing: ${remedy}`);
    });
    it('of a certificate for another host', async () => {
      assert.equal(
        problemWith(dataOf(await old.issue('other.system.svc'))),
        `Secret system/tls has a certificate in tls.crt for DNS:other.system.svc, which must be for DNS:${dnsName}: ${remedy}`,
      );
    });
    it('of a certificate that has expired, also while it is served', async () => {
      rollover.secretChanged(dataOf(first));
      rollover.bundleChanged({ bundle: old.certificate });
      await clock.advance(91 * dayMs);
      assert.match(rollover.problem ?? '', /^Secret system\/tls has a certificate in tls\.crt that is expired since 20\d\d-.*Z: correct/);
    });
    it('of a certificate that is not valid yet', () => {
      clock.jump(-dayMs);
      assert.match(problemWith(dataOf(first)) ?? '', /that is not valid before 20/);
    });
    it('of the controller where no bundle is published', () => {
      assert.match(problemWith(dataOf(first)) ?? '', /^no CA bundle for clients: .*leader/);
    });
  });
});
