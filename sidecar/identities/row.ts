import type { IdentityRow } from '../../api/broker.ts';
import { rowKey } from '../../api/identity-choice.ts';

export const describeRow = (row: IdentityRow): string => `AzureIdentity ${rowKey(row)} (binding ${row.binding})`;
