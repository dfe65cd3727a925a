// The pod's packet rules as data, the text that loads them, and what must be read back afterwards (spec/injection.md 2.12, 2.13).
// Every rule is spelled as `iptables-save` prints it, so that what is there can be compared with what is wanted as text.
import { guardChain, imdsAddress, natChain, proxyId, proxyPort, wireServerAddress } from '../../api/names.ts';

export interface Table {
  name: 'nat' | 'filter';
  chain: string;
  /** Rules of our own chain, in order. */
  rules: string[];
  /** Jumps into it, each to stand at the top of its built-in chain. */
  jumps: { from: 'OUTPUT' | 'FORWARD'; match: string }[];
}

const toImds = `-d ${imdsAddress}/32 -p tcp -m tcp --dport 80`;
const toWireServer = `-d ${wireServerAddress}/32 -p tcp -m multiport --dports 80,32526`;

/** nat last: once it is committed the redirect is on, and everything before it has succeeded. */
export function wantedTables(options: { blockWireServer: boolean }): Table[] {
  const wireServer = options.blockWireServer;
  return [
    {
      name: 'filter',
      chain: guardChain,
      // Traffic that this pod forwards for nested containers does not pass OUTPUT, and a REDIRECT in PREROUTING would go to an interface
      // address where nobody listens: it is refused.
      rules: [`${toImds} -j REJECT --reject-with tcp-reset`, ...(wireServer ? [`${toWireServer} -j REJECT --reject-with tcp-reset`] : [])],
      jumps: [
        { from: 'FORWARD', match: toImds },
        ...(wireServer
          ? ([
              { from: 'FORWARD', match: toWireServer },
              { from: 'OUTPUT', match: toWireServer },
            ] as const)
          : []),
      ],
    },
    {
      name: 'nat',
      chain: natChain,
      rules: [
        // ACCEPT, not RETURN: a mesh's catch-all redirect after ours would take the proxy's own requests.
        `-m owner --uid-owner ${proxyId} --gid-owner ${proxyId} -j ACCEPT`,
        `-p tcp -j REDIRECT --to-ports ${proxyPort}`,
      ],
      jumps: [{ from: 'OUTPUT', match: toImds }],
    },
  ];
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

/** Our jumps of one built-in chain stand at its top and nowhere else. */
function jumpsInPlace(table: Table, present: readonly string[], from: string): boolean {
  const wanted = table.jumps.filter((jump) => jump.from === from).map((jump) => jumpLine(table, jump));
  const chain = present.filter((rule) => rule.startsWith(`${from} `));
  const ours = chain.filter((rule) => rule.endsWith(` -j ${table.chain}`));
  return ours.length === wanted.length && wanted.every((rule, index) => chain[index] === rule);
}

/**
 * Input for `iptables-restore --noflush`. Declaring a chain empties that chain alone; a jump is inserted only where it is not in place
 * already, so any number of runs gives the same rules.
 */
export function restoreInput(tables: readonly Table[], saved: string): string {
  return tables
    .map((table) => {
      const present = rulesOf(saved, table.name);
      const lines = [`*${table.name}`, `:${table.chain} - [0:0]`, ...table.rules.map((rule) => `-A ${table.chain} ${rule}`)];
      for (const from of ['OUTPUT', 'FORWARD'] as const) {
        if (jumpsInPlace(table, present, from)) continue;
        const ours = present.filter((rule) => rule.startsWith(`${from} `) && rule.endsWith(` -j ${table.chain}`));
        lines.push(...ours.map((rule) => `-D ${rule}`));
        const wanted = table.jumps.filter((jump) => jump.from === from);
        lines.push(...wanted.map((jump, index) => `-I ${from} ${index + 1} ${jump.match} -j ${table.chain}`));
      }
      return `${[...lines, 'COMMIT'].join('\n')}\n`;
    })
    .join('');
}

/** Undoes a load that failed between two tables: only tables in which our chain was not there before. */
export function undoInput(tables: readonly Table[], before: string, after: string): string {
  return tables
    .filter((table) => !hasChain(before, table) && hasChain(after, table))
    .map((table) => {
      const ours = rulesOf(after, table.name).filter((rule) => rule.endsWith(` -j ${table.chain}`));
      return `${[`*${table.name}`, ...ours.map((rule) => `-D ${rule}`), `-F ${table.chain}`, `-X ${table.chain}`, 'COMMIT'].join('\n')}\n`;
    })
    .join('');
}

const hasChain = (saved: string, table: Table) => sectionOf(saved, table.name).includes(`\n:${table.chain} `);

function sectionOf(saved: string, name: string): string {
  return saved.split(/^(?=\*)/m).find((section) => section.startsWith(`*${name}\n`)) ?? '';
}

/** What of the wanted is not as it should be; empty when all of it is in place. */
export function differences(tables: readonly Table[], saved: string): string[] {
  return tables.flatMap((table) => {
    const present = rulesOf(saved, table.name);
    const own = present.filter((rule) => rule.startsWith(`${table.chain} `)).map((rule) => rule.slice(table.chain.length + 1));
    const wrong = own.join('\n') === table.rules.join('\n') ? [] : [`rules of chain ${table.chain}`];
    for (const from of ['OUTPUT', 'FORWARD']) {
      if (!jumpsInPlace(table, present, from)) wrong.push(`jump from ${table.name} ${from} to ${table.chain}`);
    }
    return wrong;
  });
}
