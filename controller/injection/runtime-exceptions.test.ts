import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { fakeEvents } from '../../lib/identities/testing/events.ts';
import { pod } from '../../lib/identities/testing/fixtures.ts';
import { fakeInformers } from '../../lib/identities/testing/informers.ts';
import { watchRuntimeExceptions } from './runtime-exceptions.ts';

const exception = (name: string, podLabels: Record<string, string>) => ({
  key: `app/${name}`,
  namespace: 'app',
  name,
  uid: name,
  podLabels,
});

describe('watchRuntimeExceptions', () => {
  let informers: ReturnType<typeof fakeInformers>;
  let recorded: ReturnType<typeof fakeEvents>;
  const start = () => watchRuntimeExceptions({ informers, events: recorded.events });
  const listed = () => recorded.list.map(({ kind, name, type, reason }) => `${kind} ${name} ${type} ${reason}`);
  const put = (name: string, more: Parameters<typeof pod>[0] = {}) =>
    informers.pods.put(`app/${name}`, pod({ key: `app/${name}`, namespace: 'app', name, labels: { app: name }, ...more }));

  beforeEach(() => {
    informers = fakeInformers();
    recorded = fakeEvents();
  });

  it('records an Event on an injected pod and on the exception that opens IMDS to it', () => {
    put('web');
    put('other');
    start();
    assert.deepEqual(listed(), []);
    informers.exceptions.put('app/open', exception('open', { app: 'web' }));
    assert.deepEqual(listed(), ['Pod web Warning RuntimeException', 'AzurePodIdentityException open Warning RuntimeException']);
    for (const { message } of recorded.list) assert.match(message, /passes its requests on to IMDS.*runtimeExceptions=deny$/);
  });

  it('records nothing for pods that run without a token proxy or have finished', () => {
    put('bare', { injected: false });
    put('done', { finished: true });
    informers.exceptions.put('app/open', exception('open', { app: 'bare', state: 'x' }));
    informers.exceptions.put('app/open-too', exception('open-too', { app: 'done' }));
    start();
    assert.deepEqual(listed(), []);
  });

  it('records a pod once for one exception, and again after that ended', () => {
    informers.exceptions.put('app/open', exception('open', { app: 'web' }));
    put('web');
    const stop = start();
    put('web', { node: 'n' });
    informers.exceptions.put('app/open', exception('open', { app: 'web', more: 'x' }));
    assert.equal(recorded.list.length, 2, 'was so at the start');
    informers.exceptions.remove('app/open');
    informers.exceptions.put('app/open', exception('open', { app: 'web' }));
    assert.equal(recorded.list.length, 4);
    stop();
    informers.exceptions.remove('app/open');
    informers.exceptions.put('app/open', exception('open', { app: 'web' }));
    assert.equal(recorded.list.length, 4);
  });
});
