#!/usr/bin/env node
// Entry point of the kubectl plugin `kubectl aad-pod-identity`.
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { SettingsError } from '../common/options.ts';
import { run } from './run.ts';
import type { Terminal } from './terminal.ts';

const terminal: Terminal = {
  write: (output) => process.stdout.write(output),
  writeError: (output) => process.stderr.write(output),
  isTerminal: process.stdout.isTTY === true,
  env: process.env,
  async readFile(name) {
    try {
      return name === '-' ? await text(process.stdin) : await readFile(name, 'utf8');
    } catch (error) {
      throw new SettingsError(`--filename ${name} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
    }
  },
};

// Not awaited at the top level, which a CommonJS bundle cannot be.
void run(process.argv.slice(2), terminal).then((code) => {
  process.exitCode = code;
});
