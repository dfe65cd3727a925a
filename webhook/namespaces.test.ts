import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { annotations, guardLabel } from '../api/names.ts';
import type { FakeClock } from '../common/testing/fake-clock.ts';
import { createFakeClock } from '../common/testing/fake-clock.ts';
import type { NamespaceFacts } from '../lib/identities/decision/decide.ts';
import type { Change } from '../lib/kube/informer.ts';
import { namespaceFactsOf, waitForNamespace } from './namespaces.ts';

describe('waitForNamespace', () => {
  const team: NamespaceFacts = { name: 'team', interception: 'none' };
  const known = new Map<string, NamespaceFacts>();
  const listeners = new Set<(change: Change<NamespaceFacts>) => void>();
  const informer = {
    get: (key: string) => known.get(key),
    onChange(listener: (change: Change<NamespaceFacts>) => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const arrive = (key: string, after: NamespaceFacts) => {
    for (const listener of listeners) listener({ key, before: undefined, after });
  };
  let clock: FakeClock;
  beforeEach(() => {
    clock = createFakeClock();
    known.clear();
    listeners.clear();
  });

  it('returns the facts of a known namespace at once', async () => {
    known.set('team', team);
    assert.deepEqual(await waitForNamespace(informer, 'team', 1_000, clock), team);
    assert.equal(clock.timers, 0);
  });

  it('waits for a namespace that the informer does not know yet', async () => {
    const waiting = waitForNamespace(informer, 'team', 1_000, clock);
    arrive('other', { name: 'other' });
    arrive('team', team);
    assert.deepEqual(await waiting, team);
    assert.deepEqual([clock.timers, listeners.size], [0, 0]);
  });

  it('goes on without facts when the namespace does not arrive in time', async () => {
    const waiting = waitForNamespace(informer, 'team', 1_000, clock);
    await clock.advance(1_000);
    assert.deepEqual(await waiting, { name: 'team' });
    assert.equal(listeners.size, 0);
  });
});

const off = { selector: undefined, releaseNamespace: 'system' };

it('reads pod security level and interception of a namespace', () => {
  const metadata = {
    name: 'team',
    labels: { 'pod-security.kubernetes.io/enforce': 'baseline' },
    annotations: { 'aadpodidentity.k8s.io/interception': 'none' },
  };
  const { name, podSecurity, interception, guarded } = namespaceFactsOf({ metadata }, off);
  assert.deepEqual(
    { name, podSecurity, interception, guarded },
    { name: 'team', podSecurity: 'baseline', interception: 'none', guarded: false },
  );
});

it('reads the annotations of a namespace that are defaults for its pods', () => {
  const map = { 'aadpodidentity.k8s.io/init-cpu-limit': '1', 'aadpodidentity.k8s.io/inject': 'false', other: 'x' };
  assert.deepEqual(namespaceFactsOf({ metadata: { name: 'team', annotations: map } }, off).defaults, {
    'aadpodidentity.k8s.io/init-cpu-limit': '1',
  });
});

it('reads whether a namespace is guarded, and which exceptions count there', () => {
  const guard = { selector: { matchLabels: { [guardLabel]: 'enabled' } }, releaseNamespace: 'system' };
  const factsOf = (name: string, value: string, selection = guard) =>
    namespaceFactsOf(
      { metadata: { name, labels: { [guardLabel]: value }, annotations: { [annotations.guardAllow]: 'a, b.c,,A b' } } },
      selection,
    );
  const facts = factsOf('team', 'enabled');
  assert.equal(facts.guarded, true);
  assert.deepEqual(facts.guardAllow, ['a', 'b.c']);
  assert.match(facts.guardWarnings?.join() ?? '', /^annotation .*guard-allow of namespace team lists "A b", which is no name$/);
  assert.equal(factsOf('system', 'enabled').guarded, false, 'the release namespace');
  assert.equal(factsOf('kube-system', 'enabled').guarded, false);
  assert.match(factsOf('team', 'true').guardWarnings?.[0] ?? '', /is "true" and does not guard it: accepted is enabled, or no such label/);
  assert.match(
    namespaceFactsOf({ metadata: { name: 'team', labels: { [guardLabel]: 'enabled' } } }, off).guardWarnings?.[0] ?? '',
    /guard\.enabled is false/,
  );
});
