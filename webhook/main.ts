import { runProgram } from '../lib/program.ts';
import { settings } from './settings.ts';
import { startWebhook } from './start.ts';

// No await: the bundle is CommonJS. runProgram ends the process itself, whatever happens.
void runProgram({
  name: 'webhook',
  summary: 'injects the token proxy into pods labelled aadpodidbinding',
  settings,
  start: startWebhook,
});
