// Somebody else who attaches and detaches identities on the same scopes, and what is known of whose each attachment is.
import type { OwnershipEntry } from '../../../../controller/scopes/ownership.ts';
import type { Emulator } from '../../../azure/emulator.ts';
import { idOf } from '../../azure/fixtures.ts';
import { arm } from '../../azure/requests.ts';
import { scopeIds, typeOf } from './azure.ts';
import type { AzureName, ScopeName } from './history.ts';
import { azureNames, scopeNames } from './history.ts';

export interface ForeignHand {
  attach(scope: ScopeName, name: AzureName): Promise<void>;
  detach(scope: ScopeName, name: AzureName): Promise<void>;
  /** From now on nobody knows whether a PATCH of ours was carried out. */
  crash(): void;
  /** From now on an operation may fail, perhaps one of this hand. */
  spoil(): void;
  /** Takes away all but `foreign`, attaches that, and knows nothing of before. */
  reset(): Promise<void>;
  isForeign(key: string): boolean;
  isDoubtful(key: string): boolean;
  /** By the last thing that this hand did before the log reached `seq`. */
  wasForeign(key: string, seq: number): boolean;
}

export interface ForeignHandOptions {
  emulator: Emulator;
  attached(scope: ScopeName): string[];
  /** Our record's entry, asked of the API server. */
  claimOf(scope: ScopeName, name: AzureName): Promise<OwnershipEntry | undefined>;
}

/** Keys are `scope name`. */
export async function openForeignHand({ emulator, attached, claimOf }: ForeignHandOptions): Promise<ForeignHand> {
  const call = await arm(emulator);
  /** What it attached and did not take away. */
  const foreign = new Set<string>();
  /** Attached while our record claims it, so that nobody can say whose it is. */
  const doubtful = new Set<string>();
  /** Intents of ours that it was faster than. */
  const intended = new Set<string>();
  let past: { seq: number; key: string; attached: boolean }[] = [];
  let crashed = false;
  let spoilt = false;
  /** Of this history; what our record says since before that is left of one in which nobody knew whose an attachment was. */
  let begunAt = 0;

  async function attach(scope: ScopeName, name: AzureName): Promise<void> {
    const key = `${scope} ${name}`;
    // The faults are for our controller; this hand may meet them too, and then does nothing.
    const before = await call('GET', scopeIds[scope]).catch(() => undefined);
    if (attached(scope).includes(name) || before?.status !== 200) return;
    const claim = await claimOf(scope, name);
    const body = { identity: { type: typeOf(scope), userAssignedIdentities: { [idOf(name)]: {} } } };
    const reply = await call('PATCH', scopeIds[scope], body, {
      headers: { 'if-match': String(before.json.etag ?? before.headers.etag) },
    }).catch(() => undefined);
    if (reply === undefined && attached(scope).includes(name)) doubtful.add(key);
    if (reply === undefined || reply.status >= 300) return;
    foreign.add(key);
    past.push({ seq: emulator.log.last, key, attached: true });
    if (spoilt) doubtful.add(key);
    if (claim === undefined) return;
    // An intent is dropped once its PATCH is refused, unless whoever sent it is gone or never got the answer.
    if (claim.state !== 'intent' || crashed || Date.parse(claim.since) < begunAt) doubtful.add(key);
    else intended.add(key);
  }

  const wipe = (scope: ScopeName, names: readonly AzureName[]) =>
    emulator.act({ do: 'wipe', resource: scopeIds[scope], identities: names.map(idOf) });

  return {
    attach,
    async detach(scope, name) {
      const key = `${scope} ${name}`;
      foreign.delete(key);
      past.push({ seq: emulator.log.last, key, attached: false });
      await wipe(scope, [name]);
    },
    crash() {
      crashed = true;
      for (const key of intended) doubtful.add(key);
    },
    spoil() {
      spoilt = true;
    },
    async reset() {
      // What nobody knows the owner of stays until this hand takes it.
      for (const scope of scopeNames)
        await wipe(
          scope,
          azureNames.filter((name) => name !== 'foreign'),
        );
      for (const known of [foreign, doubtful, intended]) known.clear();
      crashed = false;
      spoilt = false;
      begunAt = Date.now();
      for (const scope of scopeNames) {
        await attach(scope, 'foreign');
        foreign.add(`${scope} foreign`);
      }
      past = scopeNames.map((scope) => ({ seq: emulator.log.last, key: `${scope} foreign`, attached: true }));
    },
    isForeign: (key) => foreign.has(key),
    isDoubtful: (key) => doubtful.has(key),
    wasForeign: (key, seq) => past.filter((act) => act.key === key && act.seq < seq).at(-1)?.attached === true,
  };
}
