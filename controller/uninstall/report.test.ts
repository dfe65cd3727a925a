import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { reportOf, terminationMessageOf } from './report.ts';

describe('reportOf', () => {
  it('says that nothing is left, what pods have, and what stays', () => {
    const [first, pods, stays] = reportOf([], 'system');
    assert.match(first ?? '', /^uninstalled: nothing is left/);
    assert.match(pods ?? '', /^Pods that run keep/);
    assert.match(stays ?? '', /kubectl delete secret -n system aad-pod-identity-ca /);
  });

  it('names each thing that is left, with its command below', () => {
    const report = reportOf(
      [
        { what: 'one', command: 'az one' },
        { what: 'two', command: '' },
      ],
      'system',
    );
    assert.deepEqual(report.slice(0, 4), ['uninstalled, but this is left:', '- one', '  az one', '- two']);
  });
});

describe('terminationMessageOf', () => {
  it('keeps whole lines, within what the kubelet keeps, and points to the log', () => {
    const lines = Array.from({ length: 50 }, (_, index) => `${index} ${'ä'.repeat(60)}`);
    const message = terminationMessageOf(lines);
    assert.ok(Buffer.byteLength(message) <= 4096);
    assert.ok(message.startsWith(`${lines[0]}\n`));
    assert.match(message, /\n\d+ ä{60}\n\.\.\. see the log$/);
    assert.equal(terminationMessageOf(['a', 'b']), 'a\nb');
  });
});
