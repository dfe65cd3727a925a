import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rawPod } from '../lib/identities/decision/testing/raw-pods.ts';
import { parseReview, responseBody } from './review.ts';

const reviewOf = (request: object) => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: { uid: 'u1', kind: { group: '', version: 'v1', kind: 'Pod' }, operation: 'CREATE', namespace: 'team', ...request },
});

test('parses a review into its pod and what the log says about it', () => {
  const object = rawPod();
  const { pod, ...rest } = parseReview(reviewOf({ name: 'app', dryRun: true, object }), { guarded: true });
  assert.deepEqual(rest, { uid: 'u1', namespace: 'team', name: 'app', dryRun: true, guarded: true });
  assert.equal(pod.raw, object);
});

test('names a pod without a name by its generateName', () => {
  for (const name of [undefined, ''])
    assert.equal(parseReview(reviewOf({ name, object: rawPod({ metadata: { generateName: 'app-' } }) }), { guarded: false }).name, 'app-*');
});

test('writes a denial as 403 with its message and without a patch', () => {
  const body: unknown = JSON.parse(
    responseBody('u1', { allowed: false, message: 'why', patch: [], warnings: [], auditAnnotations: { decision: 'deny' } }),
  );
  assert.deepEqual(body, {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: {
      uid: 'u1',
      allowed: false,
      auditAnnotations: { decision: 'deny' },
      status: { code: 403, reason: 'Forbidden', message: 'why' },
    },
  });
});

test('writes each warning as one line of at most 256 characters', () => {
  const body = responseBody('u1', { allowed: true, patch: [], warnings: ['a\nb', 'x'.repeat(300)], auditAnnotations: {} });
  const { warnings } = (JSON.parse(body) as { response: { warnings: string[] } }).response;
  assert.deepEqual(warnings, ['a b', 'x'.repeat(256)]);
});
