import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { bindingOf } from '../../lib/identities/binding.ts';
import { identityOf } from '../../lib/identities/identity.ts';
import type { Match } from '../../lib/identities/match.ts';
import { bindingReferenceSpec, identityReferenceSpec, referencesTo } from './references.ts';

/** Everything that somebody may write into the two objects. */
function largeMatch(text: string): Match {
  const metadata = (name: string) => ({
    name,
    namespace: 'app',
    uid: `uid-${name}`,
    resourceVersion: '7',
    creationTimestamp: '2026-01-01T00:00:00Z',
    labels: { team: text },
    annotations: { 'kubectl.kubernetes.io/last-applied-configuration': text },
    finalizers: [`example.com/${text}`],
  });
  const identity = identityOf({
    metadata: metadata('i'),
    spec: {
      type: 1,
      resourceID: text,
      clientID: text,
      clientPassword: { name: 'secret', namespace: text },
      tenantID: ' tenant\n',
      auxiliaryTenantIDs: [text, ...Array.from({ length: 1_000 }, (_, index) => `tenant-${index}`)],
      adResourceID: text,
      adEndpoint: 'https://login.microsoftonline.us/',
      unknown: text,
    },
  });
  const binding = bindingOf({ metadata: metadata('b'), spec: { azureIdentity: 'i', selector: 'sel', weight: 1, unknown: text } });
  assert.ok(identity !== undefined && binding !== undefined);
  return { identity, binding };
}

describe('references of an AzureAssignedIdentity', () => {
  it('hold the names and the short fields that upstream reads, and nothing else', () => {
    const { azureIdentityRef, azureBindingRef } = referencesTo(largeMatch('x'.repeat(100_000)));
    assert.deepEqual(
      { ...azureIdentityRef, spec: { ...azureIdentityRef.spec, auxiliaryTenantIDs: azureIdentityRef.spec?.auxiliaryTenantIDs?.length } },
      {
        apiVersion: 'aadpodidentity.k8s.io/v1',
        kind: 'AzureIdentity',
        metadata: { name: 'i', namespace: 'app', uid: 'uid-i', resourceVersion: '7' },
        spec: {
          type: 1,
          clientPassword: { name: 'secret' },
          tenantID: 'tenant',
          auxiliaryTenantIDs: 20,
          adEndpoint: 'https://login.microsoftonline.us/',
        },
      },
    );
    assert.deepEqual(azureBindingRef, {
      apiVersion: 'aadpodidentity.k8s.io/v1',
      kind: 'AzureIdentityBinding',
      metadata: { name: 'b', namespace: 'app', uid: 'uid-b', resourceVersion: '7' },
      spec: { azureIdentity: 'i', selector: 'sel' },
    });
  });

  it('take less than 16 KiB, whatever the objects hold', () => {
    for (const length of [200, 2_000, 1_000_000]) {
      const bytes = Buffer.byteLength(JSON.stringify(referencesTo(largeMatch('ſ'.repeat(length)))));
      assert.ok(bytes < 16_384, `${bytes} bytes for texts of ${length} characters`);
    }
  });

  it('stay as they are when they are made of themselves', () => {
    const texts = fc.oneof(fc.string(), fc.constantFrom(' x ', null, 7, 'y'.repeat(3_000)));
    const keys = fc.constantFrom('type', 'resourceID', 'clientID', 'clientPassword', 'tenantID', 'auxiliaryTenantIDs', 'selector', 'other');
    const values = fc.oneof(texts, fc.integer(), fc.array(texts, { maxLength: 30 }), fc.record({ name: texts, namespace: texts }));
    fc.assert(
      fc.property(fc.dictionary(keys, values), (spec) => {
        for (const pick of [identityReferenceSpec, bindingReferenceSpec]) assert.deepEqual(pick(pick(spec)), pick(spec));
      }),
    );
  });
});
