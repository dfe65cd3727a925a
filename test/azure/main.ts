// `npm run emulator`: the Azure emulator as a program.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseJson } from './core/messages.ts';
import type { Emulator } from './emulator.ts';
import { startEmulator } from './emulator.ts';
import type { Flags } from './flags.ts';
import { FlagError, parseFlags, usage } from './flags.ts';
import { DocumentError } from './state/fields.ts';

const defaultState = path.join(import.meta.dirname, 'default-state.json');

function readStateFile(file: string): unknown {
  const document = parseJson(readFileSync(file, 'utf8'));
  if (document === undefined) throw new FlagError(`--state ${file}: is not JSON`);
  return document;
}

async function start(flags: Flags): Promise<Emulator> {
  const file = flags.stateFile ?? defaultState;
  const { imds, arm, entra, control, paths, seed, vm, issuerCaFile } = flags;
  try {
    return await startEmulator({
      state: readStateFile(file),
      listen: { imds, arm, entra, control },
      paths,
      seed,
      ...(vm === null ? {} : { vm }),
      ...(issuerCaFile === null ? {} : { issuerCa: readFileSync(issuerCaFile, 'utf8') }),
    });
  } catch (error) {
    if (error instanceof DocumentError)
      throw new FlagError(error.path === 'vm' ? `--${error.message}` : `--state ${file}: ${error.message}`);
    throw error;
  }
}

/** One line where the user can act; anything else is a defect and shows its stack. */
function explain(error: unknown): string {
  if (error instanceof FlagError) return error.message;
  if (error instanceof Error && 'code' in error && 'syscall' in error) {
    if (error.code === 'EADDRINUSE') return `${error.message}: choose another address or port`;
    return error.message;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

async function run(): Promise<void> {
  const flags = parseFlags(process.argv.slice(2));
  if (flags.help) return void process.stdout.write(usage);
  const emulator = await start(flags);
  const temporary = flags.caFile === null ? mkdtempSync(path.join(tmpdir(), 'azure-emulator-')) : null;
  const ca = flags.caFile ?? path.join(temporary ?? '', 'ca.pem');
  let stopping = false;
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    if (temporary !== null) rmSync(temporary, { recursive: true, force: true });
    await emulator.stop();
  };
  const onSignal = () => {
    stop().catch(fail);
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    writeFileSync(ca, emulator.ca);
  } catch (error) {
    await stop();
    throw error;
  }
  process.stdout.write(`${JSON.stringify({ ...emulator.urls, ca })}\n`);
}

function fail(error: unknown): void {
  console.error(explain(error));
  process.exitCode = 1;
}

run().catch(fail);
