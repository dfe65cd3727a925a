// Which labelled pods get an Event because they have no token proxy, and what the metrics count.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Pod } from '../../lib/identities/pod.ts';
import { podOf } from '../../lib/identities/pod.ts';
import { fakeEvents } from '../../lib/identities/testing/events.ts';
import { assignment, binding, identity, pod } from '../../lib/identities/testing/fixtures.ts';
import { fakeInformers } from '../../lib/identities/testing/informers.ts';
import { silentLogger } from '../../lib/log.ts';
import type { UninjectedReason } from './state.ts';
import { countInjected, isOutdated, notInjectedText, uninjectedReason } from './state.ts';
import { watchInjection } from './watch.ts';

const bare = (overrides: Partial<Pod> = {}) => pod({ injected: false, ...overrides });
const raw = (annotations: Record<string, string>, spec: Record<string, unknown> = {}) => {
  const read = podOf({ metadata: { namespace: 'app', name: 'web', uid: 'u', labels: { aadpodidbinding: 's' }, annotations }, spec });
  assert.ok(read);
  return read;
};

describe('uninjectedReason', () => {
  const cases: [what: string, pod: Pod, excepted: boolean, reason: UninjectedReason | undefined][] = [
    ['injected', pod(), false, undefined],
    ['forged', raw({ 'aadpodidentity.k8s.io/status': '{}' }), false, 'not_injected'],
    ['finished', bare({ finished: true }), false, undefined],
    ['in kube-system', bare({ namespace: 'kube-system' }), false, 'excluded_namespace'],
    ['excepted in kube-system', bare({ namespace: 'kube-system' }), true, 'excepted'],
    ['opted out in kube-system', bare({ namespace: 'kube-system', optedOut: true }), false, 'opted_out'],
    ['static', raw({ 'kubernetes.io/config.mirror': 'x' }), false, 'mirror_pod'],
    ['with an empty label', bare({ selector: '' }), false, 'no_selector'],
    ['opted out', raw({ 'aadpodidentity.k8s.io/inject': 'false' }), false, 'opted_out'],
    ['excepted', bare(), true, 'excepted'],
    ['on Windows by os', raw({}, { os: { name: 'windows' } }), false, 'windows'],
    ['on Windows by selector', raw({}, { nodeSelector: { 'kubernetes.io/os': 'windows' } }), false, 'windows'],
    ['on Windows by the old selector', raw({}, { nodeSelector: { 'beta.kubernetes.io/os': 'windows' } }), false, 'windows'],
    ['on the host network', bare({ hostNetwork: true }), false, 'host_network'],
    ['forced on but missed', raw({ 'aadpodidentity.k8s.io/inject': 'true' }), false, 'not_injected'],
    ['plain', bare(), false, 'not_injected'],
  ];
  for (const [what, of, excepted, reason] of cases)
    it(`gives ${reason ?? 'no reason'} for a labelled pod that is ${what}`, () => assert.equal(uninjectedReason(of, excepted), reason));
});

describe('notInjectedText', () => {
  const kinds = (['excluded_namespace', 'not_injected'] as const).flatMap((reason) =>
    [true, false].map((isAssigned) => ({ reason, isAssigned })),
  );
  for (const { reason, isAssigned } of kinds)
    it(`says cause and way out within an Event for ${reason}, isAssigned=${isAssigned}`, () => {
      const text = notInjectedText({ pod: bare({ namespace: 'n'.repeat(63) }), reason, isAssigned });
      assert.ok(text.length <= 1024, `${text.length} characters`);
      assert.match(text, /annotate it aadpodidentity\.k8s\.io\/inject=false/);
      assert.match(text, /unless NMI of aad-pod-identity still serves it/);
      assert.doesNotMatch(text, /given no identity/);
      assert.equal(text.includes('assigns no new identity'), !isAssigned);
    });

  it('names the namespace that is left out, and the labels that leave one out', () => {
    const excluded = notInjectedText({ pod: bare({ namespace: 'kube-system' }), reason: 'excluded_namespace', isAssigned: false });
    assert.match(excluded, /never called for namespace kube-system.*Run it in another namespace/);
    const missed = notInjectedText({ pod: bare(), reason: 'not_injected', isAssigned: false });
    assert.match(missed, /control-plane=true or kubernetes\.azure\.com\/managedby=aks \(kubectl get namespace app --show-labels\)/);
  });
});

describe('watchInjection', () => {
  it('records an Event on a bound pod that an exception keeps from its proxy', () => {
    const informers = fakeInformers();
    const { events, list } = fakeEvents();
    informers.exceptions.put('app/open', { key: 'app/open', namespace: 'app', name: 'open', uid: 'e', podLabels: { app: 'web' } });
    for (const name of ['web', 'unbound'])
      informers.pods.put(`app/${name}`, bare({ key: `app/${name}`, namespace: 'app', name, selector: name, labels: { app: 'web' } }));
    watchInjection({ informers, events, log: silentLogger, settings: { assignUninjected: false } });
    assert.equal(list.length, 0);
    informers.identities.put('app/i', identity('app/i'));
    informers.bindings.put('app/b', binding('app/b', 'i', 'web'));
    assert.deepEqual(
      list.map(({ kind, name, type, reason }) => [kind, name, type, reason]),
      [['Pod', 'web', 'Warning', 'Excepted']],
    );
    assert.match(list[0]?.message ?? '', /^AzurePodIdentityException open applies .* AzureIdentity app\/i is bound to it: .* podLabels/);
  });

  const settings = { assignUninjected: false };

  it('records one Event on each uninjected pod until the watch stops', () => {
    const informers = fakeInformers();
    const recorded = fakeEvents();
    informers.pods.put('app/early', bare({ key: 'app/early', name: 'early' }));
    informers.pods.put('app/fine', pod({ key: 'app/fine', name: 'fine' }));
    informers.pods.put('kube-system/agic', bare({ key: 'kube-system/agic', namespace: 'kube-system', name: 'agic' }));
    const off = watchInjection({ informers, events: recorded.events, log: silentLogger, settings });
    informers.pods.put('app/late', bare({ key: 'app/late', name: 'late' }));
    off();
    informers.pods.put('app/after', bare({ key: 'app/after', name: 'after' }));
    assert.deepEqual(
      recorded.list.map((event) => `${event.kind} ${event.name} ${event.reason}`),
      ['Pod early NotInjected', 'Pod agic NotInjected', 'Pod late NotInjected'],
    );
  });

  it('does not call a pod unassigned that has an object or gets one without injection', () => {
    const informers = fakeInformers();
    const recorded = fakeEvents();
    const missed = bare();
    informers.assignments.put('default/taken', assignment(missed, identity('app/i'), binding('app/b', 'i')));
    informers.pods.put(missed.key, missed);
    watchInjection({ informers, events: recorded.events, log: silentLogger, settings })();
    watchInjection({
      informers: fakeWith(bare({ key: 'app/other' })),
      events: recorded.events,
      log: silentLogger,
      settings: { assignUninjected: true },
    })();
    assert.equal(recorded.list.length, 2);
    for (const { message } of recorded.list) assert.doesNotMatch(message, /assigns no new identity/);
  });
});

function fakeWith(of: Pod) {
  const informers = fakeInformers();
  informers.pods.put(of.key, of);
  return informers;
}

describe('countInjected', () => {
  const withStatus = (status: string) =>
    raw({ 'aadpodidentity.k8s.io/status': status }, { containers: [{ name: 'aad-pod-identity-proxy' }] });
  const of = (version: string, templateHash: string) => withStatus(JSON.stringify({ version, templateHash }));

  it('counts injected pods by version and template', () => {
    const counted = countInjected([of('1', 'a'), of('2', 'b'), of('2', 'b'), bare(), withStatus('no JSON')]);
    assert.deepEqual(counted, [
      { version: '2', template: 'b', pods: 2 },
      { version: '1', template: 'a', pods: 1 },
      { version: '', template: '', pods: 1 },
    ]);
  });

  it('makes a bounded number of series of injected pods', () => {
    const counted = countInjected(Array.from({ length: 100 }, (_, index) => of('1', `t${index}`)));
    assert.equal(counted.length, 21);
    assert.deepEqual(counted.at(-1), { version: '1', template: 'other', pods: 80 });
  });
});

describe('isOutdated', () => {
  const current = { version: '2', settingsHash: 'b' };
  const injectedBy = (sidecarVersion: string, sidecarSettings: string, more: Partial<Pod> = {}) =>
    pod({ sidecarVersion, sidecarSettings, ...more });
  for (const [what, of, now, expected] of [
    ['of this version and these settings', injectedBy('2', 'b'), current, false],
    ['of another version', injectedBy('1', 'b'), current, true],
    ['of other settings', injectedBy('2', 'a'), current, true],
    ['of other settings, where nobody says those of now', injectedBy('2', 'a'), { version: '2', settingsHash: '' }, false],
    ['that is finished', injectedBy('1', 'a', { finished: true }), current, false],
    ['that was not injected', injectedBy('', '', { injected: false }), current, false],
  ] as const)
    it(`is ${expected} for a pod ${what}`, () => assert.equal(isOutdated(of, now), expected));
});
