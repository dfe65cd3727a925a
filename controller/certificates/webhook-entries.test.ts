import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { entryOf } from './testing/entries.ts';
import { planEntries } from './webhook-entries.ts';
import type { WebhookEntry } from './webhook-entries-setting.ts';

const inject = entryOf('inject', 'home');
const guard = entryOf('guard', 'home');
const written = (entry: WebhookEntry, changes: object = {}) => ({
  ...entry,
  clientConfig: { ...entry.clientConfig, caBundle: Buffer.from('ca').toString('base64') },
  ...changes,
});
const plan = (current: readonly unknown[], { entries = [inject], isServing = true } = {}) =>
  planEntries({ current, entries, bundle: 'ca', isServing });
const own = inject.namespaceSelector.matchExpressions ?? [];
const withExpressions = (...matchExpressions: unknown[]) => written(inject, { namespaceSelector: { matchExpressions } });

describe('planEntries', () => {
  it('adds entries only while the webhook serves', () => {
    assert.deepEqual(plan([], { isServing: false }), { state: 'waiting', webhooks: undefined });
    assert.deepEqual(plan([]), { state: 'registered', webhooks: [written(inject)] });
  });

  it('keeps and repairs entries while the webhook does not serve, and adds none', () => {
    assert.deepEqual(plan([written(inject)], { isServing: false }), { state: 'registered', webhooks: undefined });
    assert.deepEqual(plan([written(inject, { failurePolicy: 'Ignore' })], { entries: [inject, guard], isServing: false }), {
      state: 'waiting',
      webhooks: [written(inject)],
    });
  });

  const edits: [what: string, changes: object][] = [
    ['failurePolicy', { failurePolicy: 'Ignore' }],
    ['rules', { rules: [] }],
    ['a url', { clientConfig: { url: 'https://evil.example' } }],
    ['another caBundle', { clientConfig: { ...inject.clientConfig, caBundle: 'eA==' } }],
    ['an objectSelector', { objectSelector: {} }],
    ['a namespaceSelector', { namespaceSelector: {} }],
    ['a field that the setting does not have', { matchConditions: [{ name: 'never', expression: 'false' }] }],
  ];
  for (const [what, changes] of edits)
    it(`puts back an entry in which somebody changed ${what}`, () => {
      assert.deepEqual(plan([written(inject, changes)]).webhooks, [written(inject)]);
    });

  it('adds an entry that somebody removed, in the order of the setting', () => {
    assert.deepEqual(plan([written(guard)], { entries: [inject, guard] }).webhooks, [written(inject), written(guard)]);
  });

  it('keeps what AKS adds to the namespace selector, in any order', () => {
    const aks = [
      { key: 'control-plane', operator: 'DoesNotExist' },
      { key: 'kubernetes.azure.com/managedby', operator: 'NotIn', values: ['aks'] },
    ];
    assert.equal(plan([withExpressions(...aks, ...own)]).webhooks, undefined);
    assert.deepEqual(plan([withExpressions(...aks)]).webhooks, [withExpressions(...aks, ...own)]);
  });

  it('removes expressions that are not those of AKS, or select its namespaces', () => {
    const others = [
      { key: 'team', operator: 'NotIn', values: ['a'] },
      { key: 'control-plane', operator: 'Exists' },
      { key: 'kubernetes.azure.com/managedby', operator: 'In', values: ['aks'] },
    ];
    for (const other of others) assert.deepEqual(plan([withExpressions(...own, other)]).webhooks, [written(inject)]);
  });

  it('leaves entries of other names as they are', () => {
    const other = { name: 'other.example.com', clientConfig: { url: 'https://other.example' } };
    assert.equal(plan([written(inject), other]).webhooks, undefined);
    assert.deepEqual(plan([other]).webhooks, [written(inject), other]);
  });

  it('removes an entry of ours that the setting does not have', () => {
    assert.deepEqual(plan([written(inject), written(guard)]).webhooks, [written(inject)]);
  });

  it('leaves everything to the release in another namespace that has the entries', () => {
    const theirs = written(entryOf('inject', 'theirs'));
    assert.deepEqual(plan([theirs, written(guard)], { entries: [inject, guard] }), { state: 'other-release', webhooks: undefined });
  });

  it('has nothing left to do after its own plan, whatever stood there before', () => {
    const anything = fc.record(
      {
        name: fc.constantFrom(inject.name, guard.name, 'old.aadpodidentity.k8s.io', 'other.example.com'),
        failurePolicy: fc.constantFrom('Fail', 'Ignore'),
        clientConfig: fc.constantFrom(undefined, { url: 'https://x' }, inject.clientConfig),
        namespaceSelector: fc.record({
          matchExpressions: fc.array(
            fc.record({ key: fc.constantFrom('control-plane', 'team'), operator: fc.constantFrom('In', 'NotIn', 'Exists') }),
          ),
        }),
      },
      { requiredKeys: ['name'] },
    );
    const current = fc.uniqueArray(anything, { selector: ({ name }) => name });
    fc.assert(
      fc.property(current, fc.boolean(), (before, isServing) => {
        const options = { entries: [inject, guard], isServing };
        const { webhooks, state } = plan(before, options);
        assert.deepEqual(plan(webhooks ?? before, options), { state, webhooks: undefined });
      }),
    );
  });
});
