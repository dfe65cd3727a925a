import { runProgram } from '../lib/program.ts';
import { settings } from './settings.ts';
import { startBroker } from './start.ts';

// No await: the bundle is CommonJS. runProgram ends the process itself, whatever happens.
void runProgram({
  name: 'broker',
  summary: 'tells sidecars which Azure identities their pods have, and makes tokens for service principals',
  settings,
  start: startBroker,
});
