// The packet rules of a pod as data, the text that loads them, and the comparison with the rules that are in place. Every rule is spelled as
// `iptables-save` prints it, so that desired and observed rules are compared as text (docs/reference/iptables.md).
import { guardChain, imdsAddress, natChain, nestedChain, proxyId, proxyPort, untrackedChain, wireServerAddress } from '../../api/names.ts';

const builtIns = ['OUTPUT', 'FORWARD', 'PREROUTING'] as const;
type BuiltIn = (typeof builtIns)[number];

export interface Table {
  name: 'nat' | 'filter' | 'raw';
  chain: string;
  /** Rules of our own chain, in order. */
  rules: string[];
  /** Jumps into our chain. They are the first rules of their built-in chains. */
  jumps: { from: BuiltIn; match: string }[];
}

const toImds = `-d ${imdsAddress}/32 -p tcp -m tcp --dport 80`;
const ofProxy = `-m owner --uid-owner ${proxyId} --gid-owner ${proxyId}`;
const toWireServer = `-d ${wireServerAddress}/32 -p tcp -m multiport --dports 80,32526`;

/** `denyImds`: IMDS is rejected for all users, root and the proxy's included, and nothing is redirected. */
export interface RuleOptions {
  denyImds: boolean;
  blockWireServer: boolean;
}

/** The rule of the filter table that rejects what reaches it on its way to IMDS. */
export const rejectImds = `${toImds} -j REJECT --reject-with tcp-reset`;

/** The redirect is last: its commit switches it on, after everything else has succeeded. */
export function desiredTables({ denyImds, blockWireServer }: RuleOptions): Table[] {
  const refused = blockWireServer ? [toImds, toWireServer] : [toImds];
  return [
    {
      name: 'filter',
      chain: guardChain,
      rules: [rejectImds, ...(blockWireServer ? [`${toWireServer} -j REJECT --reject-with tcp-reset`] : [])],
      jumps: [
        ...refused.map((match) => ({ from: 'FORWARD', match }) as const),
        ...(denyImds ? ([{ from: 'OUTPUT', match: toImds }] as const) : []),
        ...(blockWireServer ? ([{ from: 'OUTPUT', match: toWireServer }] as const) : []),
      ],
    },
    {
      // Traffic that this pod forwards for nested containers passes no OUTPUT, and a container engine puts its ACCEPT before our rules of
      // FORWARD. So it is led to a port of the incoming interface at which nobody listens: the proxy listens at the loopback address.
      name: 'nat',
      chain: nestedChain,
      rules: [`-p tcp -j REDIRECT --to-ports ${proxyPort}`],
      jumps: refused.map((match) => ({ from: 'PREROUTING', match })),
    },
    {
      name: 'nat',
      chain: natChain,
      // ACCEPT and not RETURN, after which the catch-all redirect of a service mesh would take the packets: the requests of the proxy, or what
      // the filter table rejects.
      rules: denyImds ? ['-j ACCEPT'] : [`${ofProxy} -j ACCEPT`, `-p tcp -j REDIRECT --to-ports ${proxyPort}`],
      jumps: [{ from: 'OUTPUT', match: toImds }],
    },
  ];
}

/**
 * Keeps the traffic between the proxy and IMDS out of connection tracking, and so out of every nat table: a mesh with nftables of its own has one
 * that an ACCEPT in ours does not leave out (docs/reference/iptables.md#order-of-rules).
 */
export function untrackedTable({ denyImds }: Pick<RuleOptions, 'denyImds'>): Table {
  const toProxy = `-s ${imdsAddress}/32 -p tcp -m tcp --sport 80`;
  return {
    name: 'raw',
    chain: untrackedChain,
    rules: denyImds ? [] : ['-j CT --notrack'],
    jumps: denyImds
      ? []
      : [
          { from: 'OUTPUT', match: `${toImds} ${ofProxy}` },
          { from: 'PREROUTING', match: toProxy },
        ],
  };
}

const jumpLine = (table: Table, jump: Table['jumps'][number]) => `${jump.from} ${jump.match} -j ${table.chain}`;

/** Rules of one table in `iptables-save` output, without their leading `-A `. */
function rulesOf(saved: string, table: string): string[] {
  const rules: string[] = [];
  let current = '';
  for (const line of saved.split('\n')) {
    if (line.startsWith('*')) current = line.slice(1).trim();
    else if (current === table && line.startsWith('-A ')) rules.push(line.slice(3).trim());
  }
  return rules;
}

/** Whether our jumps of one built-in chain are its first rules, and there are no others. */
function jumpsInPlace(table: Table, present: readonly string[], from: string): boolean {
  const desired = table.jumps.filter((jump) => jump.from === from).map((jump) => jumpLine(table, jump));
  const chain = present.filter((rule) => rule.startsWith(`${from} `));
  const ours = chain.filter((rule) => rule.endsWith(` -j ${table.chain}`));
  return ours.length === desired.length && desired.every((rule, index) => chain[index] === rule);
}

/**
 * Input for `iptables-restore --noflush`. Declaring a chain empties that chain alone. A jump is inserted only if it is not in place, so any
 * number of runs gives the same rules.
 */
export function restoreInput(tables: readonly Table[], saved: string): string {
  return tables
    .map((table) => {
      const present = rulesOf(saved, table.name);
      const lines = [`*${table.name}`, `:${table.chain} - [0:0]`, ...table.rules.map((rule) => `-A ${table.chain} ${rule}`)];
      for (const from of builtIns) {
        if (jumpsInPlace(table, present, from)) continue;
        const ours = present.filter((rule) => rule.startsWith(`${from} `) && rule.endsWith(` -j ${table.chain}`));
        lines.push(...ours.map((rule) => `-D ${rule}`));
        const desired = table.jumps.filter((jump) => jump.from === from);
        lines.push(...desired.map((jump, index) => `-I ${from} ${index + 1} ${jump.match} -j ${table.chain}`));
      }
      return `${[...lines, 'COMMIT'].join('\n')}\n`;
    })
    .join('');
}

/** Input that undoes a load which failed between two tables. A table that had our chain before is left as it is. */
export function undoInput(tables: readonly Table[], before: string, after: string): string {
  return tables
    .filter((table) => !hasChain(before, table) && hasChain(after, table))
    .map((table) => {
      const ours = rulesOf(after, table.name).filter((rule) => rule.endsWith(` -j ${table.chain}`));
      return `${[`*${table.name}`, ...ours.map((rule) => `-D ${rule}`), `-F ${table.chain}`, `-X ${table.chain}`, 'COMMIT'].join('\n')}\n`;
    })
    .join('');
}

/** Whether an earlier run loaded rules into every table. */
export const isLoaded = (tables: readonly Table[], saved: string): boolean => tables.every((table) => hasChain(saved, table));

const hasChain = (saved: string, table: Table) => sectionOf(saved, table.name).includes(`\n:${table.chain} `);

function sectionOf(saved: string, name: string): string {
  return saved.split(/^(?=\*)/m).find((section) => section.startsWith(`*${name}\n`)) ?? '';
}

/** Packets that a rule of the filter table has matched, from the output of `iptables-save --counters`; 0 where the rule is not in place. */
export function packetsOf(saved: string, rule: string): number {
  const line = saved.split('\n').find((each) => each.endsWith(`] -A ${guardChain} ${rule}`));
  return Number(/^\[(\d+):/.exec(line ?? '')?.[1] ?? 0);
}

/** Which of the desired rules are not in place. */
export function differences(tables: readonly Table[], saved: string): string[] {
  return tables.flatMap((table) => {
    const present = rulesOf(saved, table.name);
    const own = present.filter((rule) => rule.startsWith(`${table.chain} `)).map((rule) => rule.slice(table.chain.length + 1));
    const wrong = own.join('\n') === table.rules.join('\n') ? [] : [`rules of chain ${table.chain}`];
    for (const from of builtIns) {
      if (!jumpsInPlace(table, present, from)) wrong.push(`jump from ${table.name} ${from} to ${table.chain}`);
    }
    return wrong;
  });
}
