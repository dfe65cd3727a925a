import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fakeEvents } from '../../lib/identities/testing/events.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { cronJobs, daemonSets, deployments, jobs, statefulSets } from '../../lib/kube/resources.ts';
import { silentLogger } from '../../lib/log.ts';
import { createConditions } from '../testing/conditions.ts';
import { mislabelledOf, mislabelledText, watchWorkloads } from './workloads.ts';

const labels = { aadpodidbinding: 'web' };
const workload = (inTemplate: object) => ({
  metadata: { namespace: 'app', name: 'web', uid: 'u', labels, resourceVersion: '1' },
  spec: { template: { metadata: { labels: inTemplate } }, jobTemplate: { spec: { template: { metadata: { labels: inTemplate } } } } },
});

describe('mislabelledOf', () => {
  for (const kind of [deployments, statefulSets, daemonSets, jobs, cronJobs])
    it(`finds a ${kind.kind} whose pod template lacks its label`, () => {
      const found = mislabelledOf(workload({ app: 'web' }), kind);
      assert.deepEqual([found?.kind, found?.apiVersion, found?.selector], [kind.kind, `${kind.group}/v1`, 'web']);
      assert.equal(mislabelledOf(workload({ aadpodidbinding: 'other' }), kind), undefined);
    });

  it('takes a missing template for one without labels', () => {
    assert.ok(mislabelledOf({ metadata: workload({}).metadata }, deployments));
    assert.equal(mislabelledOf({ metadata: { namespace: 'app', name: 'web' } }, deployments), undefined);
  });
});

describe('mislabelledText', () => {
  const textOf = (kind: typeof jobs) => {
    const found = mislabelledOf(workload({}), kind);
    assert.ok(found);
    return mislabelledText(found);
  };

  it('has the command that puts the label into the template', () => {
    const patch = '{"spec":{"template":{"metadata":{"labels":{"aadpodidbinding":"web"}}}}}';
    assert.ok(textOf(deployments).endsWith(`kubectl patch deployment web -n app --type merge -p '${patch}'`));
    assert.match(textOf(cronJobs), /not in spec\.jobTemplate\.spec\.template\.metadata\.labels.*kubectl patch cronjob web/);
  });

  it('asks for another Job, whose template cannot be changed', () => {
    assert.match(textOf(jobs), /make it anew with the label in its template/);
    assert.doesNotMatch(textOf(jobs), /kubectl/);
  });
});

describe('watchWorkloads', () => {
  it('lists labelled workloads only, and records one Event on each that changes', async () => {
    const asked = new Map<string, unknown>();
    const watched = new Set<string>();
    const conditions = createConditions();
    const client: Pick<KubeClient, 'call' | 'watch'> = {
      async call(_method, path, options) {
        asked.set(path, options?.query?.labelSelector);
        return { metadata: { resourceVersion: '1' }, items: path.endsWith('/deployments') ? [workload({})] : [] };
      },
      async *watch(path, options) {
        if (path.endsWith('/deployments')) {
          const object = { ...workload({}), status: { replicas: 2 } };
          yield { type: 'MODIFIED', object };
        }
        watched.add(path);
        conditions.check();
        if (options.signal?.aborted === true) return;
        await new Promise<void>((resolve) => options.signal?.addEventListener('abort', () => resolve(), { once: true }));
      },
    };
    const { events, list } = fakeEvents();
    const watching = watchWorkloads({ client: client as KubeClient, events, log: silentLogger });
    await conditions.until(() => watched.size === 5);
    await watching.stop();
    assert.deepEqual([...new Set(asked.values())], ['aadpodidbinding']);
    assert.deepEqual(
      list.map(({ kind, name, type, reason }) => [kind, name, type, reason]),
      [['Deployment', 'web', 'Warning', 'LabelNotInTemplate']],
    );
  });
});
