import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { binding, identity, pod } from './testing/fixtures.ts';
import { fakeInformers } from './testing/informers.ts';

const rules = { forceNamespaced: false, bindingNamespaces: [] };
const policy = [{ namespaces: { matchLabels: { trusted: 'yes' } } }];

function bound() {
  const informers = fakeInformers(rules, policy);
  const green = identity('team/green');
  informers.pods.put('app/web', pod());
  informers.identities.put(green.key, green);
  informers.bindings.put('team/b', binding('team/b', 'green'));
  const label = (trusted: string) => informers.namespaces.put('team', { name: 'team', labels: { trusted } });
  return { informers, green, label };
}

describe('the match index with a policy', () => {
  it('keeps an identity that is not allowed among the matches', () => {
    const { informers, green } = bound();
    assert.deepEqual(
      informers.matches.matchesOf(pod()).map((match) => match.identity),
      [green],
    );
    assert.equal(informers.matches.isAllowed(green), false);
  });

  it('answers by the labels that the namespace has now', () => {
    const { informers, green, label } = bound();
    const answers = ['yes', 'no', 'yes'].map((trusted) => {
      label(trusted);
      return informers.matches.isAllowed(green);
    });
    informers.namespaces.remove('team');
    assert.deepEqual([...answers, informers.matches.isAllowed(green)], [true, false, true, false]);
  });

  it('reports the pods of a namespace whose labels change, and of no other', () => {
    const { informers, label } = bound();
    const changed: string[] = [];
    informers.matches.onChange((podKey) => changed.push(podKey));
    label('yes');
    label('yes');
    informers.namespaces.put('app', { name: 'app', labels: { trusted: 'yes' } });
    assert.deepEqual(changed, ['app/web']);
    informers.namespaces.remove('team');
    assert.deepEqual(changed, ['app/web', 'app/web']);
  });
});
