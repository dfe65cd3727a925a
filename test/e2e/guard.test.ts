// The guard in the real cluster, with every policy at deny: each way to start a pod or to change it, and what it gets from the metadata service.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { processesInPod } from '../cluster/procfs.ts';
import { missingForCluster } from '../cluster/requirements.ts';
import { identities } from '../demo/azure.ts';
import { identity } from './fixtures.ts';
import type { GuardActions } from './guard-actions.ts';
import { exception, guardActions, hardened, none, open, own } from './guard-actions.ts';
import type { Product } from './harness.ts';
import { eventually, startProduct, system, vault } from './harness.ts';

const missing = await missingForCluster();
const skip = missing.length > 0 ? `the cluster needs ${missing.join('; ')}` : false;
const log = (line: string) => console.log(line);
const key = (name: string) => `aadpodidentity.k8s.io/${name}`;
const marker = key('injected');
const guard = { [key('guard')]: 'enabled' };
const policies = ['ephemeralContainers', 'containerPrivileges', 'exceptions', 'assignedIdentities'];
const settings = [
  'guard.enabled=true',
  ...policies.map((policy) => `guard.policies.${policy}=deny`),
  'guard.exceptionNamespaces={team,allowing}',
  'runtimeExceptions=deny',
];

interface Row {
  title: string;
  /** What the pod gets, or the text of a denial. */
  expected: string | RegExp;
  got: (on: GuardActions) => Promise<string>;
}

const refusedUser = ['setpriv', '--reuid=25790', '--regid=25790', '--clear-groups'];
const withCapability = (name: string) => ({ securityContext: { capabilities: { add: [name] } } });

const byStatus = '--subresource=status';
const labelledLate = /cannot be added to or changed on a pod without token proxy/;
const immutable = /says what the webhook put into this pod and cannot be added, changed or removed/;

const optOut = { [key('inject')]: 'false' };
const debugRows = (['guarded', 'redirected'] as const).flatMap((name) =>
  (
    [
      ['general', /a debug container needs|each container of this pod/],
      ['baseline', /a debug container needs|each container of this pod/],
      ['netadmin', /a debug container that is privileged or adds|each container of this pod/],
      ['sysadmin', /a debug container that is privileged or adds|each container of this pod/],
      ['restricted', name === 'guarded' ? none : own],
    ] as const
  ).map(
    ([profile, expected]): Row => ({
      title: `a debug container, profile ${profile}, in a ${name} pod`,
      expected,
      got: (on) => on.debug(name, profile),
    }),
  ),
);
const rows: Row[] = [
  { title: 'an unlabelled pod', expected: none, got: (on) => on.ask('guarded') },
  { title: 'a redirected pod', expected: own, got: (on) => on.ask('redirected') },
  {
    title: 'a redirected pod that asks for the identity of others',
    expected: /Identity not found: client_id/,
    got: (on) => on.ask('redirected', { query: `${vault}&client_id=${identities.second.clientId}` }),
  },
  {
    title: 'a root pod, as root, as the user of the proxy and with a packet socket',
    expected: `${none}, Operation not permitted`,
    async got(on) {
      const denied = await on.start('team', 'root', undefined, { app: { securityContext: { runAsUser: 0 } } });
      if (denied !== undefined) return denied;
      const socket = ['perl', '-e', 'socket(my $s, 17, 3, 8) or die "$!\\n"'];
      const { stderr } = await on.run(['exec', '-n', 'team', 'root', '-c', 'app', '--', ...socket]);
      return [await on.askAs('root', {}, { as: refusedUser }), stderr.split('\n')[0]].join(', ');
    },
  },
  {
    title: 'a redirected pod whose root could become the user of the proxy',
    expected: /root could become the user of the token proxy/,
    got: (on) =>
      on.startAndAsk('team', 'redirected-root', 'one', { app: { securityContext: { allowPrivilegeEscalation: false, runAsUser: 0 } } }),
  },
  {
    title: 'an unlabelled pod that runs as user and group 25790',
    expected: none,
    got: (on) => on.startAndAsk('team', 'proxy-user', undefined, { app: { securityContext: { runAsUser: 25790, runAsGroup: 25790 } } }),
  },
  {
    title: 'a labelled pod that runs as user and group 25790',
    expected: /user and group 25790 are reserved/,
    got: (on) =>
      on.startAndAsk('team', 'proxy-user-labelled', 'one', { app: { securityContext: { runAsUser: 25790, runAsGroup: 25790 } } }),
  },
  { title: 'an opted-out pod', expected: none, got: (on) => on.startAndAsk('team', 'opted-out', 'one', { annotations: optOut }) },
  { title: 'a pod with an empty label', expected: none, got: (on) => on.startAndAsk('team', 'empty', '') },
  {
    title: 'a guarded pod that is labelled later',
    expected: labelledLate,
    got: (on) => on.labelling('team', 'guarded', { aadpodidbinding: 'one' }),
  },
  {
    title: 'a guarded pod that is labelled later by its status',
    expected: labelledLate,
    got: (on) => on.labelling('team', 'guarded', { aadpodidbinding: 'one' }, byStatus),
  },
  {
    title: 'an open pod that is labelled later',
    expected: labelledLate,
    got: (on) => on.labelling('open', 'plain', { aadpodidbinding: 'one' }),
  },
  ...debugRows,
  {
    title: 'an excepted pod',
    expected: /AzurePodIdentityException legacy: this namespace is guarded and does not list the exception/,
    got: (on) => on.startAndAsk('team', 'excepted', undefined, { labels: { app: 'legacy' } }),
  },
  {
    title: 'an excepted pod with our label',
    expected: /AzurePodIdentityException legacy: this namespace is guarded and does not list the exception/,
    got: (on) => on.startAndAsk('team', 'excepted-labelled', 'one', { labels: { app: 'legacy' }, app: hardened }),
  },
  {
    title: 'an excepted pod whose exception the namespace allows',
    expected: open,
    got: (on) => on.startAndAsk('allowing', 'excepted', undefined, { labels: { app: 'legacy' } }),
  },
  {
    title: 'an exception in a namespace that the values do not list',
    expected: /guard\.exceptionNamespaces does not list this namespace/,
    got: (on) => on.refusal(['create', '-f', '-'], JSON.stringify(exception('new', 'open'))),
  },
  { title: 'a redirected pod that is excepted later', expected: own, got: (on) => on.exceptLater() },
  { title: 'a Job', expected: none, got: (on) => on.job() },
  {
    title: 'a pod with an init container of Istio, which has NET_ADMIN',
    expected: /spec\.initContainers\[istio-init\]: this namespace is guarded, and the container could pass the guard/,
    got: (on) =>
      on.startAndAsk('team', 'istio-init', undefined, {
        spec: { initContainers: [{ name: 'istio-init', image: 'any', ...withCapability('NET_ADMIN') }] },
      }),
  },
  { title: 'a pod with a classic mesh sidecar', expected: none, got: (on) => on.meshed('mesh-classic', 'classic') },
  { title: 'a pod with a native mesh sidecar', expected: none, got: (on) => on.meshed('mesh-native', 'native') },
  {
    title: 'a redirected pod with a classic mesh sidecar',
    expected: own,
    got: (on) => on.meshed('mesh-classic-redirected', 'classic', 'one'),
  },
  {
    title: 'a redirected pod with a native mesh sidecar',
    expected: own,
    got: (on) => on.meshed('mesh-native-redirected', 'native', 'one'),
  },
  {
    title: 'a pod that is created with the marker redirect',
    expected: none,
    got: (on) => on.startAndAsk('team', 'forged', undefined, { labels: { [marker]: 'redirect' } }),
  },
  {
    title: 'a pod that is created with the marker outside of guarded namespaces',
    expected: /is set by the webhook, which was not called for this pod/,
    got: (on) => on.startAndAsk('open', 'forged', undefined, { labels: { [marker]: 'redirect' } }),
  },
  { title: 'a pod whose marker is changed', expected: immutable, got: (on) => on.labelling('team', 'guarded', { [marker]: 'redirect' }) },
  {
    title: 'a pod whose marker is changed by its status',
    expected: immutable,
    got: (on) => on.labelling('team', 'guarded', { [marker]: 'redirect' }, byStatus),
  },
  {
    title: 'a hostNetwork pod',
    expected: /nothing keeps a pod with hostNetwork from IMDS/,
    got: (on) => on.startAndAsk('team', 'host', undefined, { spec: { hostNetwork: true } }),
  },
  {
    title: 'a pod with interception none',
    expected: /interception=none leaves IMDS open to the app/,
    got: (on) => on.startAndAsk('team', 'none', 'one', { annotations: { [key('interception')]: 'none' }, app: hardened }),
  },
  {
    title: 'a privileged pod',
    expected: /spec\.containers\[app\]: this namespace is guarded, and the container could pass the guard/,
    got: (on) => on.startAndAsk('team', 'privileged', undefined, { app: { securityContext: { privileged: true } } }),
  },
  {
    title: 'a pod whose guard gets another image',
    expected: /the images of aad-pod-identity-init and aad-pod-identity-proxy cannot be changed/,
    got: (on) => on.refusal(['set', 'image', 'pod/guarded', 'aad-pod-identity-init=any', '-n', 'team']),
  },
  {
    title: 'a process that somebody starts in the proxy',
    expected: /a process in the containers of the token proxy could act as it/,
    got: (on) => on.ask('redirected', { container: 'aad-pod-identity-proxy' }),
  },
  { title: 'an unlabelled pod of a namespace that is not guarded', expected: open, got: (on) => on.ask('plain', { namespace: 'open' }) },
  {
    title: 'an unlabelled pod of a namespace whose guard label has another value',
    expected: open,
    got: (on) => on.startAndAsk('misspelt', 'plain'),
  },
];

describe('the guard in a real cluster', { skip }, () => {
  let product: Product;
  let on: GuardActions;

  before(async () => {
    product = await startProduct('e2e-guard', log, { set: settings });
    on = guardActions(product);
    await product.helm('install');
    const namespace = (name: string, labels: Record<string, string>, annotations: Record<string, string> = {}) => ({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels, annotations },
    });
    await product.apply(
      namespace('team', { ...guard, [key('strict')]: 'enabled' }),
      namespace('allowing', guard, { [key('guard-allow')]: 'legacy' }),
      namespace('misspelt', { [key('guard')]: 'true' }),
      namespace('open', {}),
      exception('legacy', 'team'),
      exception('legacy', 'allowing'),
      ...identity('demo', 'one'),
    );
    for (const name of ['team', 'allowing', 'misspelt', 'open'])
      await product.kubectl(['wait', '--for=create', 'serviceaccount/default', '-n', name, '--timeout=30s']);
    const spec = { securityContext: { runAsUser: 1000 } };
    await product.apply(
      on.podIn('team', 'guarded', undefined, { spec }),
      on.podIn('team', 'redirected', 'one', { spec, app: { securityContext: { allowPrivilegeEscalation: false } } }),
      on.podIn('open', 'plain'),
    );
    await Promise.all([on.ready('team', 'guarded'), on.ready('team', 'redirected'), on.ready('open', 'plain')]);
  });
  after(() => product?.cluster.down());

  describe('what pods get from the metadata service', { concurrency: 4 }, () => {
    for (const { title, expected, got } of rows)
      it(title, async () => {
        const answer = await got(on);
        if (typeof expected === 'string') assert.equal(answer, expected);
        else assert.match(answer, expected);
      });
  });

  describe('the webhook while it is down', () => {
    const unavailable = /failed calling webhook "(guard|inject)\.aadpodidentity\.k8s\.io"/;
    const takeDown = async () => {
      const selector = ['-n', system, '-l', 'app.kubernetes.io/component=webhook'];
      const uids = await product.kubectl(['get', 'pods', ...selector, '-o', 'jsonpath={.items[*].metadata.uid}']);
      await product.kubectl(['scale', 'deployment/aad-pod-identity-webhook', '-n', system, '--replicas=0']);
      await product.kubectl(['delete', 'pods', ...selector, '--force', '--grace-period=0']);
      // The API server may go on to use its connections to a pod that is being killed.
      await eventually(
        'the webhook has ended',
        async () => uids.split(' ').flatMap((uid) => processesInPod(uid, '/app/webhook.cjs')),
        (left) => left.length === 0,
      );
    };
    const events = (namespace: string) =>
      product.kubectl(['get', 'events', '-n', namespace, '--field-selector=involvedObject.kind=Namespace']);
    const metrics = async (): Promise<string> => {
      const selector = ['-n', system, '-l', 'app.kubernetes.io/component=controller'];
      const names = await product.kubectl(['get', 'pods', ...selector, '-o', 'jsonpath={.items[*].metadata.name}']);
      const paths = names.split(' ').map((name) => `/api/v1/namespaces/${system}/pods/${name}:8888/proxy/metrics`);
      return (await Promise.all(paths.map((path) => on.run(['get', '--raw', path])))).map(({ stdout }) => stdout).join('');
    };

    before(takeDown);

    it('lets no pod into a guarded namespace where the failure policy is Fail', async () => {
      assert.match((await on.start('team', 'down')) ?? 'started', unavailable);
    });

    it('leaves pods unguarded where it is Ignore, and the controller tells', async () => {
      await product.kubectl(['label', 'namespace', 'open', `${key('guard')}=enabled`]);
      await product.helm('upgrade', '--set', 'guard.failurePolicy=Ignore');
      await eventually(
        'the Event',
        () => events('open'),
        (text) => /UnguardedPods .*1 pod of this guarded namespace can reach IMDS: plain/.test(text),
      );
      await eventually('the metric', metrics, (text) => text.includes('aadpodidentity_unguarded_pods{namespace="open"} 1'));
      await eventually(
        'the Event',
        () => events('misspelt'),
        (text) => /GuardMisconfigured .* is 'true', which guards nothing/.test(text),
      );
      await takeDown();
      await eventually(
        'the failure is ignored',
        () => on.startAndAsk('open', 'down'),
        (answer) => answer === open,
      );
      assert.match((await on.start('open', 'down-labelled', 'one')) ?? 'started', unavailable);
    });
  });
});
