import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { callFailureOf } from './webhook-call.ts';

describe('callFailureOf', () => {
  for (const [text, code] of [
    [
      'tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-02-01T00:00:00Z is after 2026-01-01',
      'CertificateExpired',
    ],
    ['x509: certificate has expired or is not yet valid: current time 2026-01-01T00:00:00Z is before 2026-02-01', 'CertificateNotYetValid'],
    ['tls: failed to verify certificate: x509: certificate signed by unknown authority', 'CaBundleWrong'],
    ['dial tcp 10.0.0.1:443: connect: connection refused', 'WebhookDown'],
  ] as const)
    it(`is ${code} in its text`, () => assert.equal(callFailureOf(text, 'WebhookDown'), code));
});
