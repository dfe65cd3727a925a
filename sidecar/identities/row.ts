import type { IdentityRow } from '../../api/broker.ts';

/** `namespace/name` of the AzureIdentity. */
export const rowKey = ({ namespace, name }: Pick<IdentityRow, 'namespace' | 'name'>): string => `${namespace}/${name}`;

export const describeRow = (row: IdentityRow): string => `AzureIdentity ${rowKey(row)} (binding ${row.binding})`;
