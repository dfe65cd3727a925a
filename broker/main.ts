import { runProgram } from '../lib/program.ts';
import { settings } from './settings.ts';
import { startBroker } from './start.ts';

// No await: the bundle is CommonJS. runProgram ends the process itself, whatever happens.
void runProgram({
  name: 'broker',
  summary: 'gives sidecars the Azure identities of their pods, and makes tokens for service principals',
  settings,
  start: startBroker,
});
