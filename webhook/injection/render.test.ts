import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePod } from '../../lib/identities/decision/pod-view.ts';
import type { RawObject } from '../../lib/identities/decision/raw-pod.ts';
import { rawContainer, rawPod } from '../../lib/identities/decision/testing/raw-pods.ts';
import { template } from '../testing/fixtures.ts';
import { noLimits } from './limit-ranges.ts';
import { render } from './render.ts';

const none = { decision: 'inject', interception: 'none', options: {}, defaults: {} } as const;

// https://github.com/DataDog/datadog-agent/issues/12820, https://github.com/hashicorp/consul-k8s/issues/3229
test('puts endpoint variables in front, so that variables of the user can name them', () => {
  const own = { name: 'MSI_ENDPOINT_COPY', value: '$(IDENTITY_ENDPOINT)' };
  const pod = parsePod(rawPod({ spec: { containers: [rawContainer('app', { env: [own] })] } }));
  const { spec } = render(pod, none, template, { guarded: false, limits: noLimits }).pod as { spec: { containers: RawObject[] } };
  const env = spec.containers[0]?.env as { name: string }[];
  assert.deepEqual(
    env.map(({ name }) => name),
    ['IDENTITY_ENDPOINT', 'IDENTITY_HEADER', own.name],
  );
});
