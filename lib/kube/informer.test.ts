import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLogger } from '../log.ts';
import type { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import type { Change, Informer } from './informer.ts';
import { startInformer } from './informer.ts';
import { stringAt } from './objects.ts';
import { pods } from './resources.ts';

type Step = { list: unknown } | { fail: Error } | { watch: unknown[]; breaks?: Error };

const pod = (name: string, version: string, color = 'red') => ({ metadata: { namespace: 'ns', name, resourceVersion: version }, color });
const listOf = (version: string, items: unknown[], next?: string) => ({
  list: { metadata: { resourceVersion: version, ...(next === undefined ? {} : { continue: next }) }, items },
});

/** An API server that follows a script; the queries it got are kept. After the script it holds the watch open. */
function scripted(steps: Step[]) {
  const queries: Record<string, string>[] = [];
  const ended = Promise.withResolvers<void>();
  const next = (): Step | undefined => steps.shift();
  const client: KubeClient = {
    async call(_method, _path, options) {
      queries.push(options?.query ?? {});
      const step = next();
      if (step !== undefined && 'list' in step) return step.list;
      throw step !== undefined && 'fail' in step ? step.fail : new Error('script: a list was not expected');
    },
    async *watch(_path, options) {
      queries.push(options.query);
      const step = next();
      if (step === undefined) {
        ended.resolve();
        await new Promise((_resolve, reject) => options.signal.addEventListener('abort', () => reject(options.signal.reason)));
      } else if ('fail' in step) throw step.fail;
      else if ('watch' in step) {
        yield* step.watch;
        if (step.breaks !== undefined) throw step.breaks;
      } else throw new Error('script: a watch was not expected');
    },
    close: async () => undefined,
  };
  return { client, queries, ended: ended.promise };
}

async function play(steps: Step[]): Promise<{ informer: Informer<string>; changes: Change<string>[]; queries: Record<string, string>[] }> {
  const { client, queries, ended } = scripted(steps);
  const changes: Change<string>[] = [];
  const informer = startInformer({ client, log: silentLogger, resource: pods, project: (raw) => stringAt(raw, 'color'), retryMs: [1, 2] });
  informer.onChange((change) => changes.push(change));
  await ended;
  await informer.stop();
  return { informer, changes, queries };
}

describe('informer', () => {
  it('reads every page of a list before it counts as synced', async () => {
    const { informer, queries } = await play([listOf('7', [pod('a', '1')], 'more'), listOf('7', [pod('b', '2')])]);
    assert.deepEqual([...informer.values()], ['red', 'red']);
    assert.equal(informer.synced, true);
    assert.equal(queries[1]?.continue, 'more');
    assert.equal(queries[2]?.resourceVersion, '7');
    assert.equal(queries[2]?.allowWatchBookmarks, 'true');
  });

  it('follows events and tells what was before and after', async () => {
    const { changes } = await play([
      listOf('1', [pod('a', '1')]),
      {
        watch: [
          { type: 'MODIFIED', object: pod('a', '2', 'blue') },
          { type: 'DELETED', object: pod('a', '3', 'blue') },
        ],
      },
    ]);
    assert.deepEqual(changes, [
      { key: 'ns/a', before: undefined, after: 'red' },
      { key: 'ns/a', before: 'red', after: 'blue' },
      { key: 'ns/a', before: 'blue', after: undefined },
    ]);
  });

  it('resumes a quiet collection after a bookmark without another list', async () => {
    const { informer, queries } = await play([
      listOf('1', []),
      { watch: [{ type: 'BOOKMARK', object: { metadata: { resourceVersion: '90' } } }] },
    ]);
    assert.equal(informer.resourceVersion, '90');
    assert.equal(informer.changeVersion, '0', 'a bookmark is no change');
    assert.equal(queries.at(-1)?.resourceVersion, '90');
  });

  for (const [name, gone] of [
    ['as an HTTP status', { fail: new KubeError(410, 'Expired', 'too old') }],
    ['as an event', { watch: [{ type: 'ERROR', object: { code: 410, reason: 'Expired', message: 'too old' } }] }],
  ] as [string, Step][]) {
    it(`lists anew after a 410 ${name} and tells what went meanwhile`, async () => {
      const { changes } = await play([listOf('1', [pod('a', '1'), pod('b', '1')]), gone, listOf('9', [pod('b', '1')])]);
      assert.deepEqual(
        changes.filter((change) => change.after === undefined),
        [{ key: 'ns/a', before: 'red', after: undefined }],
      );
    });
  }

  it('goes on after failed lists, failed watches and a broken stream', async () => {
    const { informer, queries } = await play([
      { fail: new Error('connection refused') },
      { fail: new KubeError(500, '', 'not yet') },
      listOf('1', []),
      { fail: new Error('reset') },
      { watch: [{ type: 'ADDED', object: pod('a', '2') }], breaks: new Error('terminated') },
      { watch: [{ type: 'ADDED', object: pod('b', '3') }] },
    ]);
    assert.deepEqual([...informer.values()], ['red', 'red']);
    // Resumed, not listed again.
    assert.equal(queries.at(-2)?.resourceVersion, '2');
  });

  it('drops an object that the projection no longer wants', async () => {
    const { informer, changes } = await play([
      listOf('1', [pod('a', '1')]),
      { watch: [{ type: 'MODIFIED', object: { metadata: { namespace: 'ns', name: 'a', resourceVersion: '2' } } }] },
    ]);
    assert.equal(informer.get('ns/a'), undefined);
    assert.deepEqual(changes.at(-1), { key: 'ns/a', before: 'red', after: undefined });
  });
});
