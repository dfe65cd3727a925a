// Starts client.ts for one case.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { isRecord, parseJson } from '../../azure/core/messages.ts';
import { scriptFile } from '../../harness/bundles.ts';
import type { ClientCase } from './client.ts';

export type ClientOutcome = { readonly result: Record<string, unknown>; readonly error: Record<string, unknown> | null };

const execute = promisify(execFile);

/** `ca` (PEM) is trusted by the child; `env` is added to a clean environment. */
export async function runClient(one: ClientCase, { ca, env = {} }: { ca: string; env?: Record<string, string> }): Promise<ClientOutcome> {
  const folder = mkdtempSync(path.join(tmpdir(), 'azure-client-'));
  try {
    const file = path.join(folder, 'ca.pem');
    writeFileSync(file, ca);
    const program = await scriptFile('test/integration/azure/client.ts');
    const { stdout } = await execute(process.execPath, [program, JSON.stringify(one)], {
      env: { PATH: process.env.PATH, HOME: folder, NODE_EXTRA_CA_CERTS: file, ...env },
    });
    const printed = parseJson(stdout);
    if (!isRecord(printed)) throw new Error(`the client printed no JSON: ${stdout}`);
    return { result: isRecord(printed.result) ? printed.result : {}, error: isRecord(printed.error) ? printed.error : null };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
