import assert from 'node:assert/strict';
import { it } from 'node:test';
import { assignment, pod } from '../../lib/identities/testing/fixtures.ts';
import { silentLogger } from '../../lib/log.ts';
import { releaseAll } from './release-all.ts';
import { cluster } from './testing/fixtures.ts';

it('releases the objects of this controller and leaves those of aad-pod-identity', async () => {
  const { informers, green, bound } = cluster();
  const objects = [
    assignment(pod(), green, bound, { key: 'default/ours' }),
    assignment(pod(), green, bound, { key: 'default/theirs', podUid: undefined }),
    assignment(pod(), green, bound, { key: 'default/ours-too' }),
  ];
  for (const object of objects) informers.assignments.put(object.key, object);
  const released: string[] = [];
  const { promise: both, resolve } = Promise.withResolvers<void>();
  const running = releaseAll({
    informers,
    client: {
      async release({ key }) {
        released.push(key);
        if (released.length === 2) resolve();
      },
    },
    log: silentLogger,
    concurrency: 1,
  });
  await both;
  await running.stop();
  assert.deepEqual(released, ['default/ours', 'default/ours-too']);
});
