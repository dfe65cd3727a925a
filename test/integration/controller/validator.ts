// What identityvalidator of aad-pod-identity does inside a pod, here from outside through the pod's sidecar.
import assert from 'node:assert/strict';
import type { Emulator } from '../../azure/emulator.ts';
import { keyOf } from '../../azure/state/names.ts';
import { armAudience, idOf, pool1 } from '../azure/fixtures.ts';
import type { Reply } from '../azure/requests.ts';
import { call, claimsOf, errorOf, imds, tokenOf } from '../azure/requests.ts';
import type { RunningProxy } from '../sidecar/process.ts';

/** ARM takes tokens for each of these; a sidecar that holds one for the first still has to ask IMDS for the second. */
export const audiences = [armAudience, `${armAudience}/`, 'https://management.core.windows.net', 'https://management.core.windows.net/'];

export type Query = Record<string, string>;

export interface Validator {
  /** All three ways lead to a token of this identity, and it is good for a read at ARM. A pod may still wait for its assignment. */
  validate(sidecar: RunningProxy, identity: string, resource?: string): Promise<void>;
  /** By client id, by resource id, and without either. By client id comes first: a sidecar that does not know it yet waits for it. */
  selectors(identity: string): Query[];
  /** A token that is of this identity. */
  tokenFrom(sidecar: RunningProxy, selector: Query, identity: string, resource?: string): Promise<string>;
  /** ARM's answer to who shows this token and may have the right to read. */
  read(token: string): Promise<Reply>;
}

export function createValidator(emulator: Emulator): Validator {
  const known = (name: string) => {
    const found = emulator.state().identities.get(keyOf(idOf(name)));
    assert.ok(found, `Azure has ${name}`);
    return found;
  };
  const validator: Validator = {
    async validate(sidecar, identity, resource) {
      for (const selector of validator.selectors(identity)) {
        const reply = await validator.read(await validator.tokenFrom(sidecar, selector, identity, resource));
        assert.equal(reply.status, 200, reply.text);
      }
    },
    selectors: (identity) => [{ client_id: known(identity).clientId }, { msi_res_id: idOf(identity) }, {}],
    async tokenFrom(sidecar, selector, identity, resource = armAudience) {
      const token = tokenOf(await imds(sidecar.url, { ...selector, resource }));
      assert.equal(claimsOf(token).xms_mirid, known(identity).id);
      return token;
    },
    read: (token) =>
      call(emulator.urls.arm, `${pool1}?api-version=2026-04-01`, { headers: { authorization: `Bearer ${token}` }, ca: emulator.ca }),
  };
  return validator;
}

/** Every query gets this status, this text and no token. */
export async function refused(sidecar: RunningProxy, queries: readonly Query[], status: number, why: RegExp): Promise<void> {
  for (const reply of await Promise.all(queries.map((query) => imds(sidecar.url, query)))) {
    assert.deepEqual([reply.status, reply.json.access_token], [status, undefined], reply.text);
    assert.match(errorOf(reply).message, why);
  }
}
