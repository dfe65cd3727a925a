import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { FakeClock } from '../../common/testing/fake-clock.ts';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { AssertionSource } from './assertion.ts';
import { createAssertionSource } from './assertion.ts';

const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const tokenOf = (claims: object) => `${base64({ alg: 'RS256' })}.${base64(claims)}.signature`;
const trust = { issuer: 'https://oidc.example/', subject: 'system:serviceaccount:aad:aad-pod-identity-broker' };

describe('assertion source', () => {
  let directory: string;
  let file: string;
  let clock: FakeClock;
  let source: AssertionSource;
  const claims = (changes: object = {}) => ({
    iss: trust.issuer,
    sub: trust.subject,
    aud: ['api://AzureADTokenExchange'],
    exp: Math.floor(clock.wall() / 1000) + 3600,
    ...changes,
  });

  beforeEach(async () => {
    directory = await mkdtemp(path.join(os.tmpdir(), 'assertion-'));
    file = path.join(directory, 'token');
    clock = createFakeClock();
    source = createAssertionSource({ file, clock });
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('reads issuer, subject and audience from the token', async () => {
    const token = tokenOf(claims());
    await writeFile(file, `${token}\n`);
    assert.deepEqual(await source.get(), { token, trust: { ...trust, audience: 'api://AzureADTokenExchange' } });
  });

  it('reads the file again after a minute, and when it is told to', async () => {
    await writeFile(file, tokenOf(claims()));
    await source.get();
    await writeFile(file, tokenOf(claims({ iss: 'https://second.example/' })));
    await clock.advance(59_000);
    assert.equal((await source.get()).trust.issuer, trust.issuer);
    await clock.advance(1_000);
    assert.equal((await source.get()).trust.issuer, 'https://second.example/');
    await writeFile(file, tokenOf(claims({ iss: 'https://third.example/' })));
    assert.equal((await source.reread()).trust.issuer, 'https://third.example/');
    assert.equal((await source.get()).trust.issuer, 'https://third.example/');
  });

  it('reads the file again at once after a failure', async () => {
    await assert.rejects(source.get(), { name: 'AssertionError', message: /cannot be read \(ENOENT\)/ });
    await writeFile(file, tokenOf(claims()));
    assert.equal((await source.get()).trust.issuer, trust.issuer);
  });

  it('refuses an expired token, and quotes nothing of it', async () => {
    const token = tokenOf(claims({ exp: Math.floor(clock.wall() / 1000) }));
    await writeFile(file, token);
    await assert.rejects(
      source.get(),
      (error: Error) => /expired at 2026-01-01T00:00:00/.test(error.message) && !error.message.includes(token),
    );
  });

  it('refuses what is no token of a service account with one audience', async () => {
    for (const content of ['', 'secret', 'a.b.c', tokenOf({}), tokenOf(claims({ aud: ['a', 'b'] })), tokenOf(claims({ sub: undefined }))]) {
      await writeFile(file, content);
      await assert.rejects(source.reread(), { code: 'no_assertion', message: /is no token of a service account/ });
    }
  });

  it('says which setting is missing', async () => {
    await assert.rejects(createAssertionSource({ file: '', clock }).get(), { message: /federatedTokenFile/ });
  });
});
