// Real clients with no variable set, so that they go to 169.254.169.254: possible only inside a network namespace of our own.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { isRecord, parseJson } from '../../azure/core/messages.ts';
import { managedIdentityCases } from './managed-identity-cases.ts';

/** Why there can be no namespace here, or null. */
function obstacle(): string | null {
  if (process.platform !== 'linux') return 'needs Linux network namespaces';
  if (process.getuid?.() !== 0) return 'needs root, for a network namespace';
  try {
    execFileSync('unshare', ['--net', 'ip', 'link', 'set', 'lo', 'up'], { stdio: 'pipe' });
    return null;
  } catch (error) {
    return `cannot make a network namespace (util-linux and iproute2 are needed): ${error instanceof Error ? error.message : String(error)}`;
  }
}

const reason = obstacle();

test('serves @azure/identity and MSAL at 169.254.169.254 over strict paths', { skip: reason ?? false }, async (context) => {
  const inside = path.join(import.meta.dirname, 'strict-inside.ts');
  // The namespace ends with its last process: nothing has to be cleaned up.
  const script = 'ip link set lo up && ip address add 169.254.169.254/32 dev lo && exec "$0" "$1"';
  const { stdout } = await promisify(execFile)('unshare', ['--net', 'sh', '-c', script, process.execPath, inside], {
    env: { PATH: process.env.PATH },
    timeout: 120_000,
  });
  const outcomes = parseJson(stdout);
  assert.ok(isRecord(outcomes), stdout);
  for (const { what, clientId, error } of managedIdentityCases) {
    await context.test(what, () => {
      if (error === undefined) assert.equal(outcomes[what], clientId);
      else assert.match(String(outcomes[what]), error);
    });
  }
});
