import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { IdentityRow, IdentityState } from '../api/broker.ts';
import { pod as cachedPod } from '../lib/identities/testing/fixtures.ts';
import type { HostDecisionInput } from './host-token-decision.ts';
import { decideHostToken } from './host-token-decision.ts';

const drivers = ['secrets-store.csi.k8s.io', 'azure/kv'];
const row = (name: string, parts: Partial<IdentityRow> = {}): IdentityRow => ({
  name,
  namespace: 'app',
  binding: 'app/b',
  type: 0,
  source: 'imds',
  clientID: `client-${name}`,
  resourceID: `/r/${name}`,
  state: 'Assigned',
  ...parts,
});

interface Case extends Partial<Omit<HostDecisionInput, 'found'>> {
  pod?: Partial<ReturnType<typeof cachedPod>>;
  identities?: IdentityRow[];
  defaultIdentity?: string;
  excepted?: boolean;
}

function decide({ pod = {}, identities = [row('i')], defaultIdentity, excepted = false, ...input }: Case = {}) {
  const known = cachedPod({ volumeDrivers: ['secrets-store.csi.k8s.io'], ...pod });
  const rows = { uid: known.uid, excepted, identities, ...(defaultIdentity === undefined ? {} : { defaultIdentity }) };
  const decision = decideHostToken({
    request: { namespace: 'app', pod: 'web' },
    node: 'n1',
    drivers,
    found: { pod: known, rows, excepted },
    ...input,
  });
  return decision.kind === 'row' ? `row ${decision.row.name}` : `${decision.kind} ${decision.error.code} ${decision.error.message}`;
}

describe('the decision about a token for the node endpoint', () => {
  it('gives the first identity, the annotated one, or the one that is named', () => {
    const identities = [row('first'), row('second', { objectID: 'o-2' })];
    const request = { namespace: 'app', pod: 'web' };
    assert.equal(decide({ identities }), 'row first');
    assert.equal(decide({ identities, defaultIdentity: 'second' }), 'row second');
    for (const [name, value] of [
      ['client_id', 'CLIENT-second'],
      ['object_id', 'O-2'],
      ['msi_res_id', '/R/Second'],
    ] as const)
      assert.equal(decide({ identities, defaultIdentity: 'first', request: { ...request, selector: { name, value } } }), 'row second');
  });

  it('says the same of a pod of another node as of one that does not exist', () => {
    const elsewhere = decide({ pod: { node: 'n2' } });
    assert.match(elsewhere, /^missing not_found pod app\/web has no label aadpodidbinding, or is not on node n1$/);
    const gone = decideHostToken({ request: { namespace: 'app', pod: 'web' }, node: 'n1', drivers, found: undefined });
    assert.equal(gone.kind === 'missing' && gone.error.message, elsewhere.replace('missing not_found ', ''));
  });

  it('refuses a pod without a volume of a listed driver, and one that is excepted', () => {
    assert.match(
      decide({ pod: { volumeDrivers: [] } }),
      /^refused not_found .* mounts no volume of secrets-store\.csi\.k8s\.io or azure\/kv/,
    );
    assert.match(decide({ pod: { volumeDrivers: ['disk.csi.azure.com'] } }), /^refused not_found/);
    assert.match(decide({ excepted: true }), /^refused not_found .* AzurePodIdentityException/);
  });

  it('waits for an assignment, and for ids that are not known yet', () => {
    const identities = [row('i', { state: 'Created', clientID: '', reason: 'node is busy' })];
    assert.match(decide({ identities }), /^pending not_ready .* AzureIdentity app\/i \(binding app\/b\) is pending: node is busy$/);
    const request = { namespace: 'app', pod: 'web', selector: { name: 'client_id', value: 'client-i' } as const };
    assert.match(decide({ identities, request }), /^pending not_ready .* ids of its identities/);
  });

  it('refuses an identity that cannot be assigned, waits for one that is not bound', () => {
    const failed = [row('i', { state: 'Failed', reason: 'IdentityNotAllowed: no entry' })];
    assert.match(decide({ identities: failed }), /^refused not_found .* cannot be assigned: IdentityNotAllowed: no entry$/);
    assert.match(decide({ identities: [] }), /^missing not_found .* has no identity\. Bound to it: nothing$/);
    assert.match(decide({ defaultIdentity: 'other' }), /^missing not_found .* default identity other .* Bound to it: app\/i$/);
    const request = { namespace: 'app', pod: 'web', selector: { name: 'client_id', value: 'x' } as const };
    assert.match(decide({ request }), /^missing not_found .* no identity with client_id x/);
  });

  it('never gives an unassigned row, one of another id, or one for another node', () => {
    const states: IdentityState[] = ['Created', 'Assigned', 'Failed'];
    const rows = fc.array(
      fc.record({ name: fc.constantFrom('a', 'b', 'c'), state: fc.constantFrom(...states), clientID: fc.constantFrom('x', 'y', '') }),
      { maxLength: 5 },
    );
    const facts = fc.record({
      given: rows,
      node: fc.constantFrom('n1', 'n2', ''),
      volumeDrivers: fc.subarray(['azure/kv', 'disk.csi.azure.com']),
      excepted: fc.boolean(),
      wanted: fc.option(fc.constantFrom('x', 'Y', 'z'), { nil: undefined }),
    });
    fc.assert(
      fc.property(facts, ({ given, node, volumeDrivers, excepted, wanted }) => {
        const pod = cachedPod({ node, volumeDrivers });
        const rowsOfPod = { uid: pod.uid, excepted, identities: given.map(({ name, ...parts }) => row(name, parts)) };
        const selector = wanted === undefined ? {} : { selector: { name: 'client_id', value: wanted } as const };
        const request = { namespace: 'app', pod: 'web', ...selector };
        const decision = decideHostToken({ request, node: 'n1', drivers, found: { pod, rows: rowsOfPod, excepted } });
        if (decision.kind !== 'row') return;
        assert.equal(decision.row.state, 'Assigned');
        assert.ok(node === 'n1' && volumeDrivers.includes('azure/kv') && !excepted);
        if (wanted !== undefined) assert.equal(decision.row.clientID, wanted.toLowerCase());
      }),
    );
  });
});
