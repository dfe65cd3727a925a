// Output of `iptables-save` as the kernel would give it.
import type { Table } from '../init/rules.ts';

export const emptyTables =
  '*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n*filter\n:OUTPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\nCOMMIT\n';

/** The tables after our own rules were loaded, with a rule of somebody else in nat. */
export function savedTables(tables: readonly Table[], foreignRule = ''): string {
  return ['filter', 'nat', 'raw']
    .map((name) => {
      const own = tables.filter((table) => table.name === name);
      const chains = own.map(({ chain }) => `:${chain} - [0:0]`);
      const jumps = own.flatMap((table) => table.jumps.map((jump) => `-A ${jump.from} ${jump.match} -j ${table.chain}`));
      const rules = own.flatMap((table) => table.rules.map((rule) => `-A ${table.chain} ${rule}`));
      return [
        `*${name}`,
        ':OUTPUT ACCEPT [0:0]',
        ...chains,
        ...jumps,
        ...(name === 'nat' ? [foreignRule] : []),
        ...rules,
        'COMMIT',
        '',
      ].join('\n');
    })
    .join('');
}
