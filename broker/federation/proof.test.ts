import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import { createAssertionSource } from './assertion.ts';
import { createProver, parseProofRequest } from './proof.ts';
import { authority, fakeAssertions, fakeEntra, granted, guid, refused, tenant } from './testing/entra.ts';

const request = { tenantId: tenant, clientId: guid, resource: 'https://management.example' };

function prover() {
  const entra = fakeEntra();
  const assertions = fakeAssertions();
  const results: unknown[] = [];
  const prove = createProver({ authority, assertions, network: entra.network, onResult: (result) => results.push(result) });
  return { entra, assertions, results, prove };
}

describe('proof of a federated credential', () => {
  it('is an exchange that Entra accepts', async () => {
    const { entra, prove, results } = prover();
    entra.state.replies = [granted('one')];
    assert.deepEqual(await prove(request), { outcome: 'proven' });
    const [{ url, form }] = entra.sent as [{ url: string; form: URLSearchParams }];
    assert.equal(new URL(url).origin + new URL(url).pathname, `${authority}/${tenant}/oauth2/v2.0/token`);
    assert.deepEqual([form.get('client_id'), form.get('scope')], [guid, 'https://management.example/.default']);
    assert.deepEqual(results, ['token']);
  });

  it('is also an error that comes after Entra accepted the assertion', async () => {
    for (const code of [53003, 500011]) {
      const { entra, prove } = prover();
      entra.state.replies = [refused(code)];
      assert.deepEqual(await prove(request), { outcome: 'proven' }, String(code));
    }
  });

  it('fails with the number, the code and the text of every other error', async () => {
    for (const [code, retryable] of [
      [700213, false],
      [90061, true],
      [50196, true],
      [90033, true],
      [700016, false],
      [7002138, false],
      [7000112, false],
    ] as const) {
      const { entra, prove } = prover();
      entra.state.replies = [refused(code)];
      const { outcome, message = '', ...more } = { message: '', ...(await prove(request)) };
      assert.deepEqual({ outcome, ...more }, { outcome: 'failed', aadsts: code, error: 'invalid_request', retryable });
      assert.match(message, new RegExp(`AADSTS${code}`));
    }
  });

  it('reads the assertion again once where Entra calls it too old', async () => {
    const { entra, prove, assertions } = prover();
    entra.state.replies = [refused(700024), granted('one')];
    assert.deepEqual(await prove(request), { outcome: 'proven' });
    assert.equal(assertions.rereads, 1);
    entra.state.fallback = refused(700024);
    const failed = await prove(request);
    assert.deepEqual([failed.outcome, entra.sent.length], ['failed', 4]);
  });

  it('fails for the moment where Entra cannot be reached or the broker has no token', async () => {
    const { entra, prove, results } = prover();
    const failed = await prove(request);
    assert.ok(failed.outcome === 'failed' && failed.retryable);
    assert.deepEqual(results, [undefined]);
    const assertions = createAssertionSource({ file: '', clock: createFakeClock() });
    const without = createProver({ authority, assertions, network: entra.network, onResult: () => undefined });
    const none = await without(request);
    assert.ok(none.outcome === 'failed' && none.retryable && /federatedTokenFile/.test(none.message));
  });

  it('takes ids and a resource only', () => {
    assert.deepEqual(parseProofRequest({ ...request, more: 1 }), request);
    for (const wrong of [
      null,
      {},
      { ...request, tenantId: '../x' },
      { ...request, tenantId: 'common' },
      { ...request, clientId: 'x' },
      { ...request, resource: 'a b' },
      { ...request, resource: 7 },
    ])
      assert.throws(() => parseProofRequest(wrong), { code: 'bad_request' });
  });
});
