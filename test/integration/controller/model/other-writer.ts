// Another writer, who attaches and detaches identities on the same scopes.
import type { OwnershipEntry } from '../../../../controller/scopes/ownership.ts';
import type { Emulator } from '../../../azure/emulator.ts';
import { idOf } from '../../azure/fixtures.ts';
import { arm } from '../../azure/requests.ts';
import type { Attribution } from './attribution.ts';
import { scopeIds, typeOf } from './fixtures.ts';
import type { AzureName, ScopeName } from './history.ts';
import { azureNames, scopeNames } from './history.ts';

export interface OtherWriter {
  attach(scope: ScopeName, name: AzureName): Promise<void>;
  detach(scope: ScopeName, name: AzureName): Promise<void>;
  /** Detaches everything but `foreign` and attaches that everywhere. */
  reset(): Promise<void>;
}

export interface OtherWriterOptions {
  emulator: Emulator;
  attribution: Attribution;
  attached(scope: ScopeName): string[];
  /** Entry of the controller's record, asked of the API server. */
  entryOf(scope: ScopeName, name: AzureName): Promise<OwnershipEntry | undefined>;
}

export async function startOtherWriter({ emulator, attribution, attached, entryOf }: OtherWriterOptions): Promise<OtherWriter> {
  const call = await arm(emulator);

  async function attach(scope: ScopeName, name: AzureName): Promise<void> {
    const key = `${scope} ${name}`;
    // A fault that is meant for the controller may hit this writer, too; it then does nothing.
    const before = await call('GET', scopeIds[scope]).catch(() => undefined);
    if (attached(scope).includes(name) || before?.status !== 200) return;
    const entry = await entryOf(scope, name);
    const body = { identity: { type: typeOf(scope), userAssignedIdentities: { [idOf(name)]: {} } } };
    const headers = { 'if-match': String(before.json.etag ?? before.headers.etag) };
    const reply = await call('PATCH', scopeIds[scope], body, { headers }).catch(() => undefined);
    if (reply === undefined && attached(scope).includes(name)) attribution.attachedWithoutAnswer(key);
    if (reply !== undefined && reply.status < 300) attribution.attached(key, emulator.log.last, entry);
  }

  const wipe = (scope: ScopeName, names: readonly AzureName[]) =>
    emulator.act({ do: 'wipe', resource: scopeIds[scope], identities: names.map(idOf) });

  return {
    attach,
    async detach(scope, name) {
      attribution.detached(`${scope} ${name}`, emulator.log.last);
      await wipe(scope, [name]);
    },
    async reset() {
      const others = azureNames.filter((name) => name !== 'foreign');
      for (const scope of scopeNames) await wipe(scope, others);
      attribution.reset();
      for (const scope of scopeNames) await attach(scope, 'foreign');
      const keys = scopeNames.map((scope) => `${scope} foreign`);
      attribution.startWith(keys, emulator.log.last);
    },
  };
}
