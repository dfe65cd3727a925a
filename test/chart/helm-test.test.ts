// The pod of `helm test`.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bindingLabel, testPodName as name } from '../../api/names.ts';
import { at } from '../../lib/kube/objects.ts';
import { find, render } from './render.ts';

describe('the pod of helm test', () => {
  it('is labelled and has no rights and no credential', async () => {
    const pod = find(await render(), 'Pod', name);
    assert.equal(at(pod, 'metadata', 'annotations', 'helm.sh/hook'), 'test');
    assert.equal(at(pod, 'metadata', 'labels', bindingLabel), name);
    assert.equal(at(pod, 'spec', 'serviceAccountName'), undefined);
    assert.equal(at(pod, 'spec', 'automountServiceAccountToken'), false);
    assert.equal(at(pod, 'spec', 'securityContext', 'runAsNonRoot'), true);
  });

  it('takes the selector and the resource of the values', async () => {
    const set = 'test.selector=probe,test.resource=https://vault.azure.net';
    const pod = find(await render('--set', set), 'Pod', name);
    assert.equal(at(pod, 'metadata', 'labels', bindingLabel), 'probe');
    const [container] = at(pod, 'spec', 'containers') as { command: string[]; env: { name: string; value: string }[] }[];
    assert.deepEqual(container?.command, ['node', '/app/controller.cjs', 'test-token']);
    assert.deepEqual(container?.env, [
      { name: 'SELECTOR', value: 'probe' },
      { name: 'RESOURCE', value: 'https://vault.azure.net' },
    ]);
  });
});
