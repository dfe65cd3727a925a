// Whether the installed CRDs are ours, from the CRD that the chart ships.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { showsStatus } from './kinds.ts';

const crd = (additionalPrinterColumns?: unknown) => ({
  spec: { versions: [{ name: 'v1beta1' }, { name: 'v1', additionalPrinterColumns }] },
});

describe('an installed CRD', () => {
  it('is ours with a column for the status', () =>
    assert.equal(showsStatus(crd([{ jsonPath: '.spec.pod' }, { jsonPath: '.status.status' }])), true));
  for (const other of [crd(), crd([]), crd([{ jsonPath: '.spec.pod' }]), {}, undefined, { spec: { versions: 'none' } }])
    it(`is old otherwise: ${JSON.stringify(other)}`, () => assert.equal(showsStatus(other), false));
});
