// What of Azure is still ours, by the records, and how a person removes it. Pure.
import { scopeOfId } from '../../lib/azure/resource-ids.ts';
import { parseFederationRecord } from '../../lib/identities/federation/record.ts';
import { stringAt } from '../../lib/kube/objects.ts';
import { deleteCommand } from '../federation/commands.ts';
import { ownedNames } from '../federation/unused.ts';
import type { OwnershipRecord } from '../scopes/ownership.ts';
import { parseRecord } from '../scopes/ownership.ts';

/** Something that the uninstall left. */
export interface Left {
  readonly what: string;
  /** For a shell. Empty where only `what` says what to do. */
  readonly command: string;
}

/** ConfigMaps of the release namespace, as the API server lists them. */
export interface RawRecords {
  readonly scopes: readonly unknown[];
  readonly federations: readonly unknown[];
}

/** One item for each scale set or VM that has identities of ours, and for each federated credential that the controller made. */
export function leftInAzure({ scopes, federations }: RawRecords): Left[] {
  return [
    ...scopes.flatMap((raw) => parsed(() => leftOfScope(parseRecord(raw)))),
    ...federations.flatMap((raw) => parsed(() => leftOfIdentity(raw))),
  ];
}

/** The controller has not ended its work on these records: something of ours is left, or an operation goes on. */
export const isDetaching = (records: RawRecords): boolean =>
  leftInAzure(records).length > 0 || records.scopes.some((raw) => (stringAt(raw, 'data', 'operation') ?? '') !== '');

/** What cannot be understood is left. */
function parsed(read: () => Left[]): Left[] {
  try {
    return read();
  } catch (error) {
    return [{ what: `a record is not understood: ${error instanceof Error ? error.message : String(error)}`, command: '' }];
  }
}

function leftOfScope({ scope: id, identities, paused }: OwnershipRecord): Left[] {
  if (identities.size === 0) return [];
  const scope = scopeOfId(id);
  const ids = [...identities.keys()];
  const why = paused ? ', whose record says paused' : '';
  const what = `attached to ${id}${why}: ${ids.join(', ')}`;
  if (scope === undefined) return [{ what, command: '' }];
  const group = scope.kind === 'scaleSet' ? 'vmss' : 'vm';
  const place = `--subscription ${scope.subscription} --resource-group '${scope.resourceGroup}' --name ${scope.name}`;
  return [{ what, command: `az ${group} identity remove ${place} --identities ${ids.join(' ')}` }];
}

function leftOfIdentity(raw: unknown): Left[] {
  const record = parseFederationRecord(raw);
  return ownedNames(record).map((name) => ({
    what: `federated credential ${name} of ${record.identity}`,
    command: deleteCommand(record.identity, name),
  }));
}
