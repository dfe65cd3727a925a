// Entry point of the sidecar: `init`, `proxy` and `wait` in one file, because the pods of a cluster carry one image; and `host` for its nodes.
import { version } from '../api/version.ts';
import { systemClock } from '../common/clock.ts';
import type { Options } from '../common/options.ts';
import { describeOptions, SettingsError } from '../common/options.ts';
import { CommandError } from './errors.ts';
import { serveHost } from './host/server.ts';
import { init } from './init/init.ts';
import { createSystem } from './init/system.ts';
import { createLog } from './log.ts';
import { serveProxy } from './proxy/server.ts';
import {
  hostOptions,
  initOptions,
  proxyOptions,
  readHostSettings,
  readInitSettings,
  readProxySettings,
  readTryTokenSettings,
  readWaitSettings,
  tryTokenOptions,
  waitOptions,
} from './settings.ts';
import { readClaims, readStatus } from './status.ts';
import { waitForProxy } from './wait.ts';

interface Command {
  summary: string;
  options: Options;
  run(args: readonly string[]): Promise<void>;
}

const commands: Record<string, Command> = {
  init: {
    summary: "redirects this pod's IMDS traffic to the proxy, or denies it, and verifies that",
    options: initOptions,
    run(args) {
      const settings = readInitSettings(args);
      const log = createLog({ level: 'info', format: settings.logFormat, now: Date.now, write: (line) => console.log(line) });
      return init(settings, createSystem(log));
    },
  },
  proxy: {
    summary: 'answers the IMDS token endpoint for the identities of this pod',
    options: proxyOptions,
    run: (args) => serveProxy(readProxySettings(args)),
  },
  host: {
    summary: 'answers processes of the node with tokens of its pods, before their containers run',
    options: hostOptions,
    run: (args) => serveHost(readHostSettings(args)),
  },
  status: {
    summary: 'prints what the proxy knows: broker, identities, why they are not assigned; no token',
    options: waitOptions,
    async run(args) {
      const { address, timeoutMs } = readWaitSettings(args);
      console.log(await readStatus({ address, timeoutMs, fetch }));
    },
  },
  'try-token': {
    summary: 'asks the proxy for a token, and prints its claims only',
    options: tryTokenOptions,
    async run(args) {
      const { address, timeoutMs, resource } = readTryTokenSettings(args);
      console.log(await readClaims({ address, timeoutMs, fetch }, resource));
    },
  },
  wait: {
    summary: 'ends once the proxy listens',
    options: waitOptions,
    async run(args) {
      const { address, timeoutMs } = readWaitSettings(args);
      if (await waitForProxy({ address, timeoutMs, fetch, clock: systemClock })) return;
      throw new CommandError(
        'proxy_not_ready',
        `the identity proxy does not answer on ${address} after ${timeoutMs / 1000} s: its container log says why`,
      );
    },
  },
};

function help(name: string | undefined, command: Command | undefined): string {
  if (command === undefined) {
    const list = Object.entries(commands).map(([known, { summary }]) => `  ${known.padEnd(9)} ${summary}`);
    return `usage: sidecar.js COMMAND [--flag=value ...]\n\n${list.join('\n')}\n\nCOMMAND --help explains its flags; --version prints the version.`;
  }
  return `usage: sidecar.js ${name} [--flag=value ...]\n${command.summary}\n\n${describeOptions(command.options)}`;
}

async function main([name, ...args]: readonly string[]): Promise<void> {
  const command = name !== undefined && Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (name === '--version' || args.includes('--version')) return console.log(version);
  if (name === '--help' || args.includes('--help')) return console.log(help(name, command));
  if (command === undefined) {
    const given = name === undefined ? 'no command' : `unknown command ${JSON.stringify(name)}`;
    throw new SettingsError(`${given}: accepted is ${Object.keys(commands).join(', ')} or --help`);
  }
  await command.run(args);
}

/**
 * Bun sends its requests through these proxies, which clusters put into pods (docs/reference/bun.md#start). IMDS, the broker and the proxy of this pod
 * are always reached directly.
 */
function removeProxyVariables(): void {
  for (const name of Object.keys(process.env)) {
    if (/^(https?|all|no)_proxy$/i.test(name)) delete process.env[name];
  }
}

try {
  removeProxyVariables();
  await main(process.argv.slice(2));
  process.exit(0);
} catch (error) {
  const expected = error instanceof SettingsError || error instanceof CommandError;
  console.error(`aad-pod-identity ${process.argv[2] ?? ''}: ${error instanceof Error ? error.message : String(error)}`);
  if (!expected && error instanceof Error) console.error(error.stack);
  process.exit(error instanceof SettingsError ? 2 : 1);
}
