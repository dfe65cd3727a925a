import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readIssuer, readMigrationObjects } from './migration-objects.ts';
import type { Read, Reader } from './reader.ts';

/** Each call gets the same answer, but for one kind. */
function readerOf(answer: Read<never>, of: Record<string, readonly unknown[]> = {}): Reader {
  return {
    get: async () => answer,
    call: async () => answer,
    denied: () => [],
    list: async ({ plural }) => (of[plural] === undefined ? answer : { value: of[plural] }),
  };
}

describe('readMigrationObjects', () => {
  it('finds nothing wrong in a cluster without the kinds', async () =>
    assert.deepEqual(await readMigrationObjects(readerOf({ why: 'absent' })), { objects: [], problems: [] }));

  it('gives the items of a list their kind', async () => {
    const { objects } = await readMigrationObjects(
      readerOf({ why: 'absent' }, { deployments: [{ metadata: { name: 'web' } }], pods: [{}] }),
    );
    assert.deepEqual(objects, [
      { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' } },
      { apiVersion: 'v1', kind: 'Pod' },
    ]);
  });

  it('names each right that is missing', async () => {
    const reader: Reader = {
      ...readerOf({ why: 'absent' }),
      list: async ({ plural }) => ({ why: 'denied', right: `list ${plural} in all namespaces` }),
    };
    const { problems } = await readMigrationObjects(reader);
    assert.equal(problems.length, 10);
    assert.ok(problems.every(({ code, message }) => code === 'RightMissing' && message.startsWith('you may not list ')));
  });

  it('names an API server that does not answer once', async () => {
    const { problems } = await readMigrationObjects(readerOf({ why: 'failed', message: 'connect ECONNREFUSED' }));
    assert.deepEqual(
      problems.map(({ code }) => code),
      ['ReadFailed'],
    );
  });
});

describe('readIssuer', () => {
  it('is undefined where the API server does not say it', async () =>
    assert.equal(await readIssuer(readerOf({ why: 'absent' })), undefined));
});
