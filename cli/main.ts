#!/usr/bin/env node
// Entry point of the kubectl plugin `kubectl aad-pod-identity`.
import { run } from './run.ts';
import type { Terminal } from './terminal.ts';

const terminal: Terminal = {
  write: (output) => process.stdout.write(output),
  writeError: (output) => process.stderr.write(output),
  isTerminal: process.stdout.isTTY === true,
  isErrorTerminal: process.stderr.isTTY === true,
  columns: process.stderr.columns ?? 80,
  env: process.env,
};

// Not awaited at the top level, which a CommonJS bundle cannot be.
void run(process.argv.slice(2), terminal).then((code) => {
  // What was written is flushed then. A connection that is still being opened would keep the process for minutes.
  process.stdout.write('', () => process.exit(code));
});
