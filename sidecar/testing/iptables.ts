// Output of `iptables-save` as the kernel would give it.
import type { Table } from '../init/rules.ts';

export const emptyTables = '*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n*filter\n:OUTPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\nCOMMIT\n';

/** The tables after our own rules were loaded, with a rule of somebody else in nat. */
export function savedTables(tables: readonly Table[], foreignRule = ''): string {
  return tables
    .map((table) => {
      const jumps = table.jumps.map((jump) => `-A ${jump.from} ${jump.match} -j ${table.chain}`);
      const rules = table.rules.map((rule) => `-A ${table.chain} ${rule}`);
      const foreign = table.name === 'nat' ? foreignRule : '';
      return [`*${table.name}`, ':OUTPUT ACCEPT [0:0]', `:${table.chain} - [0:0]`, ...jumps, foreign, ...rules, 'COMMIT', ''].join('\n');
    })
    .join('');
}
