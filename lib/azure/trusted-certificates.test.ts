import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { getCACertificates } from 'node:tls';
import { SettingsError } from '../settings.ts';
import { trustCaFile } from './trusted-certificates.ts';

test('refuses a CA file without certificates and trusts what it did before', async (t) => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'trust-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = path.join(folder, 'ca.pem');
  const before = getCACertificates('default');
  for (const text of ['', 'nonsense', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n']) {
    await writeFile(file, text);
    assert.throws(
      () => trustCaFile(file),
      (error) =>
        error instanceof SettingsError &&
        error.message.startsWith(`--azure-ca-file is '${file}', which has no certificate: `) &&
        !error.message.includes('\n'),
      text,
    );
  }
  assert.deepEqual(getCACertificates('default'), before);
});
