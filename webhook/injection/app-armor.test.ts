import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rawPod } from '../../lib/identities/decision/testing/raw-pods.ts';
import { template } from '../testing/fixtures.ts';
import { withRuntimeProfile } from './app-armor.ts';
import { initContainer } from './containers.ts';

const ours = initContainer(template, {}, { denyImds: false });
const podWith = (appArmorProfile: unknown) => rawPod({ spec: { securityContext: { appArmorProfile } } });

test('keeps a profile of the node, which is made for the app, from the container', () => {
  const { securityContext } = withRuntimeProfile(ours, podWith({ type: 'Localhost', localhostProfile: 'app' }));
  assert.deepEqual(securityContext, { ...(ours.securityContext as object), appArmorProfile: { type: 'RuntimeDefault' } });
});

test('names no profile where the pod has none or one that every node has', () => {
  for (const profile of [undefined, null, { type: 'RuntimeDefault' }, { type: 'Unconfined' }])
    assert.equal(withRuntimeProfile(ours, podWith(profile)), ours);
});
