import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { Logger } from '../log.ts';
import { silentLogger } from '../log.ts';
import type { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import type { Change } from './informer.ts';
import { startInformer } from './informer.ts';
import { stringAt } from './objects.ts';
import { azureIdentities, resourcePath } from './resources.ts';

/** What the API server answers to the next list or watch. Where no step is left, it waits for the next one. */
type Step = { list: unknown } | { fail: Error } | { watch: unknown[]; breaks?: Error };

const { group, version, plural } = azureIdentities;
const item = (name: string, itemVersion: string, color = 'red') => ({
  metadata: { namespace: 'ns', name, resourceVersion: itemVersion },
  color,
});
const listOf = (listVersion: string, items: unknown[], next?: string) => ({
  list: { metadata: { resourceVersion: listVersion, ...(next === undefined ? {} : { continue: next }) }, items },
});
const event = (type: string, object: unknown) => ({ type, object });
const notFound = new KubeError(404, 'NotFound', 'the server could not find the requested resource');
const served = {
  '/apis': { kind: 'APIGroupList', groups: [{ name: group, versions: [{ version }] }] },
  [`/apis/${group}/${version}`]: { kind: 'APIResourceList', resources: [{ name: plural }] },
};

function createFakeServer(steps: Step[]) {
  const fake = {
    steps,
    resume: () => {},
    /** Queries of lists and watches. */
    queries: [] as Record<string, string>[],
    /** Answers of discovery by path; an Error fails the call. */
    discovery: served as Record<string, unknown>,
  };
  async function nextStep(signal: AbortSignal | undefined): Promise<Step> {
    while (fake.steps.length === 0)
      await new Promise<void>((resolve, reject) => {
        fake.resume = resolve;
        signal?.addEventListener('abort', () => reject(signal.reason));
      });
    const step = fake.steps.shift();
    assert.ok(step);
    if ('fail' in step) throw step.fail;
    return step;
  }

  const client: KubeClient = {
    async call(_method, path, options) {
      if (path !== resourcePath(azureIdentities)) {
        const answer = fake.discovery[path] ?? notFound;
        if (answer instanceof Error) throw answer;
        return answer;
      }
      fake.queries.push(options?.query ?? {});
      const step = await nextStep(options?.signal);
      if ('list' in step) return step.list;
      throw new Error('a list was not expected');
    },
    async *watch(_path, options) {
      fake.queries.push(options.query);
      const step = await nextStep(options.signal);
      if (!('watch' in step)) throw new Error('a watch was not expected');
      yield* step.watch;
      if (step.breaks !== undefined) throw step.breaks;
    },
    close: async () => undefined,
  };
  return { fake, client };
}

/** An informer that has got through the steps. */
async function harness(t: TestContext, steps: Step[], listener: (change: Change<string>) => void = () => undefined) {
  const clock = createFakeClock();
  const { fake, client } = createFakeServer(steps);
  const changes: Change<string>[] = [];
  const errors: string[] = [];
  const log = { ...silentLogger, error: (_fields: object, message: string) => void errors.push(message) } as Logger;
  const project = (raw: unknown) => stringAt(raw, 'color');
  const informer = startInformer({ client, log, resource: azureIdentities, project, retryMs: [1000, 1000], clock });
  t.after(() => informer.stop());
  informer.onChange(listener);
  informer.onChange((change) => changes.push(change));
  const runSteps = async (more: Step[] = []) => {
    fake.steps.push(...more);
    fake.resume();
    // Some steps take a pause after them.
    while (fake.steps.length > 0) await clock.advance(1000);
    await clock.advance(1000);
  };
  await runSteps();
  return { informer, clock, fake, changes, errors, runSteps };
}

describe('informer', () => {
  it('reads every page of a list before it is synced', async (t) => {
    const { informer, fake } = await harness(t, [listOf('7', [item('a', '1')], 'more'), listOf('7', [item('b', '2')])]);
    assert.deepEqual([...informer.values()], ['red', 'red']);
    assert.equal(informer.synced, true);
    assert.equal(fake.queries[1]?.continue, 'more');
    assert.equal(fake.queries[2]?.resourceVersion, '7');
    assert.equal(fake.queries[2]?.allowWatchBookmarks, 'true');
  });

  it('reports each change with the object before and after', async (t) => {
    const { changes } = await harness(t, [
      listOf('1', [item('a', '1')]),
      { watch: [event('MODIFIED', item('a', '2', 'blue')), event('DELETED', item('a', '3', 'blue'))] },
    ]);
    assert.deepEqual(changes, [
      { key: 'ns/a', before: undefined, after: 'red' },
      { key: 'ns/a', before: 'red', after: 'blue' },
      { key: 'ns/a', before: 'blue', after: undefined },
    ]);
  });

  it('watches on from a bookmark, which is no change', async (t) => {
    const { informer, fake } = await harness(t, [listOf('1', []), { watch: [event('BOOKMARK', { metadata: { resourceVersion: '90' } })] }]);
    assert.equal(informer.resourceVersion, '90');
    assert.equal(informer.changeVersion, '0');
    assert.equal(fake.queries.at(-1)?.resourceVersion, '90');
  });

  for (const [name, gone] of [
    ['as an HTTP status', { fail: new KubeError(410, 'Expired', 'too old') }],
    ['as an event', { watch: [event('ERROR', { code: 410, reason: 'Expired', message: 'too old' })] }],
  ] as [string, Step][]) {
    it(`lists again after a 410 ${name} and reports what was deleted meanwhile`, async (t) => {
      const { changes } = await harness(t, [listOf('1', [item('a', '1'), item('b', '1')]), gone, listOf('9', [item('b', '1')])]);
      assert.deepEqual(
        changes.filter((change) => change.after === undefined),
        [{ key: 'ns/a', before: 'red', after: undefined }],
      );
    });
  }

  it('goes on after failed lists, failed watches and a stream that breaks', async (t) => {
    const { informer, fake } = await harness(t, [
      { fail: new Error('connection refused') },
      { fail: new KubeError(500, '', 'not yet') },
      listOf('1', []),
      { fail: new Error('reset') },
      { watch: [event('ADDED', item('a', '2'))], breaks: new Error('terminated') },
      { watch: [event('ADDED', item('b', '3'))] },
    ]);
    assert.deepEqual([...informer.values()], ['red', 'red']);
    assert.equal(fake.queries.at(-2)?.resourceVersion, '2', 'it watches on and does not list again');
  });

  it('drops an object that its projection no longer wants', async (t) => {
    const { informer, changes } = await harness(t, [
      listOf('1', [item('a', '1')]),
      { watch: [event('MODIFIED', { metadata: { namespace: 'ns', name: 'a', resourceVersion: '2' } })] },
    ]);
    assert.equal(informer.get('ns/a'), undefined);
    assert.deepEqual(changes.at(-1), { key: 'ns/a', before: 'red', after: undefined });
  });

  it('calls the other listeners and goes on when one throws', async (t) => {
    const steps = [listOf('1', [item('a', '1'), item('b', '1')]), { watch: [event('MODIFIED', item('a', '2', 'blue'))] }];
    const { informer, fake, changes, errors } = await harness(t, steps, () => assert.fail('a fault'));
    assert.deepEqual(
      changes.map(({ key, after }) => `${key} ${after}`),
      ['ns/a red', 'ns/b red', 'ns/a blue'],
    );
    assert.equal(informer.synced, true);
    assert.deepEqual(
      fake.queries.map(({ resourceVersion = 'list' }) => resourceVersion),
      ['list', '1', '2'],
    );
    assert.deepEqual([...new Set(errors)], ['a listener of the informer failed']);
  });

  it('calls the other advance listeners when one throws', async (t) => {
    const { informer, runSteps } = await harness(t, [listOf('1', [])]);
    const advances: string[] = [];
    informer.onAdvance(() => assert.fail('a fault'));
    informer.onAdvance(() => advances.push(informer.resourceVersion));
    await runSteps([{ watch: [event('BOOKMARK', { metadata: { resourceVersion: '90' } })] }]);
    assert.deepEqual(advances, ['90']);
  });
});

describe('informer of a missing kind', () => {
  it('waits for a kind that answers 404 from the start', async (t) => {
    const { informer, runSteps } = await harness(t, [{ fail: notFound }, { fail: notFound }]);
    assert.equal(informer.synced, false);
    await runSteps([listOf('1', [item('a', '1')])]);
    assert.equal(informer.synced, true);
  });

  it('keeps its objects, but is not synced, when their kind answers 404', async (t) => {
    const { informer, changes, runSteps } = await harness(t, [
      listOf('1', [item('a', '1'), item('b', '1')]),
      { fail: notFound },
      { fail: notFound },
    ]);
    assert.equal(informer.synced, false);
    assert.deepEqual([...informer.values()], ['red', 'red']);
    assert.equal(changes.length, 2);
    let isSyncedAgain = false;
    const synced = informer.whenSynced().then(() => {
      isSyncedAgain = true;
    });
    await runSteps([{ fail: new Error('reset') }]);
    assert.equal(isSyncedAgain, false);
    await runSteps([listOf('9', [item('b', '1')])]);
    await synced;
    assert.equal(informer.synced, true);
    assert.deepEqual(changes.at(2), { key: 'ns/a', before: 'red', after: undefined });
  });

  for (const { what, discovery } of [
    { what: 'group', discovery: { '/apis': { kind: 'APIGroupList', groups: [] } } },
    { what: 'version', discovery: { '/apis': { kind: 'APIGroupList', groups: [{ name: group, versions: [{ version: 'v9' }] }] } } },
    { what: 'kind', discovery: { ...served, [`/apis/${group}/${version}`]: { kind: 'APIResourceList', resources: [] } } },
  ])
    it(`drops the objects of a kind whose ${what} discovery lacks for a minute`, async (t) => {
      const { informer, fake, changes, runSteps } = await harness(t, [listOf('1', [item('a', '1')])]);
      fake.discovery = discovery;
      await runSteps([...Array.from({ length: 50 }, () => ({ fail: notFound }))]);
      assert.deepEqual([...informer.values()], ['red']);
      await runSteps(Array.from({ length: 100 }, () => ({ fail: notFound })));
      assert.deepEqual([...informer.values()], []);
      assert.deepEqual(changes.at(-1), { key: 'ns/a', before: 'red', after: undefined });
      assert.equal(informer.synced, false);
    });

  for (const { what, discovery } of [
    { what: 'still knows the kind', discovery: served },
    { what: 'answers 404 too', discovery: {} },
    { what: 'is forbidden', discovery: { '/apis': new KubeError(403, 'Forbidden', 'no') } },
    { what: 'is not answered by an API server', discovery: { '/apis': 'welcome' } },
  ])
    it(`keeps the objects of a kind that answers 404 when discovery ${what}`, async (t) => {
      const { informer, fake, runSteps } = await harness(t, [listOf('1', [item('a', '1')])]);
      fake.discovery = discovery;
      await runSteps([...Array.from({ length: 200 }, () => ({ fail: notFound }))]);
      assert.deepEqual([...informer.values()], ['red']);
    });

  it('counts the minute of a missing kind anew after any other answer', async (t) => {
    const { informer, fake, runSteps } = await harness(t, [listOf('1', [item('a', '1')])]);
    fake.discovery = { '/apis': { kind: 'APIGroupList', groups: [] } };
    const missing = Array.from({ length: 50 }, () => ({ fail: notFound }));
    await runSteps([...missing, { fail: new Error('reset') }, ...missing]);
    assert.deepEqual([...informer.values()], ['red']);
  });
});
