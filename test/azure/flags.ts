// The command line of `npm run emulator`.
import { parseArgs } from 'node:util';
import type { ListenAddress } from './core/serve.ts';

export type Flags = {
  readonly imds: ListenAddress;
  readonly arm: ListenAddress;
  readonly entra: ListenAddress;
  readonly control: ListenAddress;
  readonly stateFile: string | null;
  readonly caFile: string | null;
  readonly issuerCaFile: string | null;
  readonly paths: 'lenient' | 'strict';
  readonly seed: number;
  readonly vm: string | null;
  readonly help: boolean;
};

export class FlagError extends Error {}

export const usage = `Usage: npm run emulator -- [options]

Emulates the Azure Instance Metadata Service (IMDS), Azure Resource Manager (ARM) and Microsoft Entra ID on this machine.
Prints one JSON line with its addresses when it is ready: {"imds":..,"arm":..,"entra":..,"control":..,"ca":"<file>"}

  --imds ADDR:PORT      where IMDS listens (default 127.0.0.1:0; port 0 = any free one)
  --arm ADDR:PORT       where ARM listens, TLS (default 127.0.0.1:0)
  --entra ADDR:PORT     where Entra listens, TLS (default 127.0.0.1:0)
  --control ADDR:PORT   where the control address listens (default 127.0.0.1:0)
  --state FILE          initial state as JSON (default: two scale sets, two virtual machines, two identities, one app)
  --ca-file FILE        where to write the CA certificate that clients of ARM and Entra trust (default: a temporary file, removed at exit)
  --issuer-ca FILE      CA certificates of issuers whose tokens Entra exchanges, trusted besides the usual roots
  --paths lenient|strict
                        lenient (default): IMDS takes trailing and doubled slashes, as SDKs send them when an environment variable
                        moved them here; strict: it does not
  --seed N              seed of all randomness (default 1)
  --vm NAME             the machine IMDS stands for: "set/instance" or a virtual machine's name (default: imds.vm of the state)
  --help                this text

Control address: GET|DELETE /requests, GET|PUT|PATCH /state, GET|POST|DELETE /faults, GET|POST /clock, POST /actions
`;

function address(flag: string, value: string): ListenAddress {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(value) ?? [];
  if (host === undefined || port === undefined || Number(port) > 65_535)
    throw new FlagError(`--${flag}: must be ADDR:PORT such as 127.0.0.1:8080, not "${value}"`);
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}

const text = { type: 'string' } as const;

/** Throws a FlagError of one line that names the flag and what it accepts. */
export function parseFlags(args: readonly string[]): Flags {
  const options = {
    imds: text,
    arm: text,
    entra: text,
    control: text,
    state: text,
    'ca-file': text,
    'issuer-ca': text,
    paths: text,
    seed: text,
    vm: text,
    help: { type: 'boolean' },
  } as const;
  const values = readArguments(args, options);
  const paths = values.paths ?? 'lenient';
  if (paths !== 'lenient' && paths !== 'strict') throw new FlagError(`--paths: must be "lenient" or "strict", not "${paths}"`);
  const seed = values.seed ?? '1';
  if (!/^\d{1,9}$/.test(seed)) throw new FlagError(`--seed: must be a whole number, not "${seed}"`);
  const anywhere = '127.0.0.1:0';
  return {
    imds: address('imds', values.imds ?? anywhere),
    arm: address('arm', values.arm ?? anywhere),
    entra: address('entra', values.entra ?? anywhere),
    control: address('control', values.control ?? anywhere),
    stateFile: values.state ?? null,
    caFile: values['ca-file'] ?? null,
    issuerCaFile: values['issuer-ca'] ?? null,
    paths,
    seed: Number(seed),
    vm: values.vm ?? null,
    help: values.help ?? false,
  };
}

type StringFlags = 'imds' | 'arm' | 'entra' | 'control' | 'state' | 'ca-file' | 'issuer-ca' | 'paths' | 'seed' | 'vm';
type Values = { [K in StringFlags]?: string } & { help?: boolean };

function readArguments(args: readonly string[], options: Record<StringFlags, typeof text> & { help: { type: 'boolean' } }): Values {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    const [line = ''] = error instanceof Error ? error.message.split('\n') : [];
    throw new FlagError(`${line.replace(/\. To specify .*/, '')}; --help lists what is known`);
  }
}
