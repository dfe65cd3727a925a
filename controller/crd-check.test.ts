import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hasStatusColumn } from './crd-check.ts';

const crd = (additionalPrinterColumns?: unknown) => ({
  spec: { versions: [{ name: 'v1beta1' }, { name: 'v1', additionalPrinterColumns }] },
});

describe('hasStatusColumn', () => {
  it('recognises our CRD by its column for the status', () =>
    assert.equal(hasStatusColumn(crd([{ jsonPath: '.spec.pod' }, { jsonPath: '.status.status' }])), true));
  for (const other of [crd(), crd([]), crd([{ jsonPath: '.spec.pod' }]), {}, undefined, { spec: { versions: 'none' } }])
    it(`does not recognise ${JSON.stringify(other)?.slice(-50)} as our CRD`, () => assert.equal(hasStatusColumn(other), false));
});
