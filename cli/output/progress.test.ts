import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Terminal } from '../terminal.ts';
import { withProgress } from './progress.ts';

function terminalOf(changes: Partial<Terminal>) {
  const written: string[] = [];
  const { promise: first, resolve } = Promise.withResolvers<void>();
  const terminal: Terminal = {
    write: () => undefined,
    writeError(text) {
      written.push(text);
      resolve();
    },
    isTerminal: true,
    isErrorTerminal: true,
    columns: 30,
    env: {},
    ...changes,
  };
  return { terminal, written, first };
}

describe('withProgress', () => {
  it('shows what is awaited in one line, and takes it away', async () => {
    const { terminal, written, first } = terminalOf({});
    assert.equal(
      await withProgress(terminal, ({ waitFor }) =>
        waitFor(
          'the answer of the webhook',
          first.then(() => 'done'),
        ),
      ),
      'done',
    );
    assert.deepEqual(written, ['waiting for the answer of the', '\r\u001b[K']);
  });

  for (const [name, changes] of [
    ['where errors go to a file', { isErrorTerminal: false }],
    ['on a dumb terminal', { env: { TERM: 'dumb' } }],
  ] as const)
    it(`writes nothing ${name}`, async () => {
      const { terminal, written } = terminalOf(changes);
      assert.equal(await withProgress(terminal, ({ waitFor }) => waitFor('x', Promise.resolve(1))), 1);
      assert.deepEqual(written, []);
    });

  it('takes the line away where the work fails', async () => {
    const { terminal, written, first } = terminalOf({});
    const failing = first.then(() => Promise.reject(new Error('refused')));
    await assert.rejects(
      withProgress(terminal, ({ waitFor }) => waitFor('x', failing)),
      /refused/,
    );
    assert.equal(written.at(-1), '\r\u001b[K');
  });
});
