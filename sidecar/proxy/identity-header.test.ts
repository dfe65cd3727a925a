import assert from 'node:assert/strict';
import { timingSafeEqual } from 'node:crypto';
import { test } from 'node:test';
import { createHeaderCheck } from './identity-header.ts';

test('accepts exactly the secret', () => {
  const isSecret = createHeaderCheck('the-pod-uid', timingSafeEqual);
  assert.equal(isSecret('the-pod-uid'), true);
  for (const wrong of ['', 'the-pod-ui', 'the-pod-uid2', 'the-pod-uie', 'THE-POD-UID', 'thé-pod-uid'])
    assert.equal(isSecret(wrong), false, wrong);
});
