// Entry of the sidecar: `init`, `proxy` and `wait` in one file, so that pods carry one image.
import { version } from '../api/version.ts';
import { systemClock } from '../common/clock.ts';
import { Failure } from './failure.ts';
import type { Flag } from './flags.ts';
import { describeFlags, UsageError } from './flags.ts';
import { init } from './init/init.ts';
import { bunInitWorld } from './init/world.ts';
import { createLog } from './log.ts';
import { serveProxy } from './proxy/server.ts';
import { initFlags, proxyFlags, readInitSettings, readProxySettings, readWaitSettings, waitFlags } from './settings.ts';
import { waitForProxy } from './wait.ts';

interface Command {
  summary: string;
  flags: readonly Flag<unknown>[];
  run(args: readonly string[]): Promise<void>;
}

const commands: Record<string, Command> = {
  init: {
    summary: "redirects this pod's IMDS traffic to the proxy and proves it",
    flags: Object.values(initFlags),
    run: (args) => {
      const settings = readInitSettings(args);
      return init(settings, bunInitWorld(createLog({ level: 'info', now: Date.now, write: (line) => console.log(line) })));
    },
  },
  proxy: {
    summary: 'answers the IMDS token endpoint for the identities of this pod',
    flags: Object.values(proxyFlags),
    run: (args) => serveProxy(readProxySettings(args)),
  },
  wait: {
    summary: 'ends once the proxy listens',
    flags: Object.values(waitFlags),
    async run(args) {
      const { listen, timeoutMs } = readWaitSettings(args);
      if (!(await waitForProxy({ listen, timeoutMs, fetch, clock: systemClock }))) {
        throw new Failure(`the identity proxy does not answer on ${listen} after ${timeoutMs / 1000} s: its container log says why`);
      }
    },
  },
};

function help(name: string | undefined, command: Command | undefined): string {
  if (command === undefined) {
    const list = Object.entries(commands).map(([known, { summary }]) => `  ${known.padEnd(6)} ${summary}`);
    return `usage: sidecar.js COMMAND [--flag=value ...]\n\n${list.join('\n')}\n\nCOMMAND --help tells its flags; --version tells the version.`;
  }
  return `usage: sidecar.js ${name} [--flag=value ...]\n${command.summary}\n\n${describeFlags(command.flags)}`;
}

async function main([name, ...args]: readonly string[]): Promise<void> {
  const command = name !== undefined && Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (name === '--version' || args.includes('--version')) return console.log(version);
  if (name === '--help' || args.includes('--help')) return console.log(help(name, command));
  if (command === undefined)
    throw new UsageError(
      `${name === undefined ? 'no command' : JSON.stringify(name)}: give one of ${Object.keys(commands).join(', ')} or --help`,
    );
  await command.run(args);
}

try {
  await main(process.argv.slice(2));
  process.exit(0);
} catch (error) {
  const expected = error instanceof UsageError || error instanceof Failure;
  console.error(`aad-pod-identity ${process.argv[2] ?? ''}: ${error instanceof Error ? error.message : String(error)}`);
  if (!expected && error instanceof Error) console.error(error.stack);
  process.exit(error instanceof UsageError ? 2 : 1);
}
