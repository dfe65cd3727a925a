// The admission policies of the guard in a real API server: what each refuses, what it lets through, and that a warning refuses nothing.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { sidecarCommand } from '../../../api/names.ts';
import { at } from '../../../lib/kube/objects.ts';
import { run } from '../../cluster/run.ts';
import { eventually } from '../../harness/wait.ts';
import type { Answer, Call, PodParts, PolicyHarness } from './harness.ts';
import { marker, ours, pod, podPath, redirected, startPolicyHarness, strict, system } from './harness.ts';

const allDeny = ['marker', 'ephemeralContainers', 'exec', 'containerPrivileges', 'exceptions', 'assignedIdentities'].map(
  (name) => `guard.policies.${name}=deny`,
);
const exclusion = 'webhook.namespaceSelectorExpressions[0].key=team,webhook.namespaceSelectorExpressions[0].operator=In';
const guarded = { 'aadpodidentity.k8s.io/guard': 'enabled' };
const apiVersion = 'aadpodidentity.k8s.io/v1';

describe('the admission policies', () => {
  let harness: PolicyHarness;
  let count = 0;

  before(async () => {
    harness = await startPolicyHarness();
    await harness.namespace('plain', { team: 'a' });
    const old = { apiVersion, kind: 'AzurePodIdentityException', metadata: { name: 'old' }, spec: { podLabels: { app: 'x' } } };
    expect(await harness.call({ method: 'POST', path: ours('plain', 'azurepodidentityexceptions'), body: old }));
    await harness.applyPolicies(...allDeny, exclusion, 'webhook.namespaceSelectorExpressions[0].values={a,b}');
    await harness.namespace('guarded', { team: 'b', ...guarded });
    await harness.namespace(system, { team: 'a', ...guarded });
    await harness.namespace('excluded', { team: 'c', ...guarded });
    await harness.namespace('aks', { team: 'a', 'kubernetes.azure.com/managedby': 'aks', ...guarded });
    await harness.namespace('strict', { team: 'a', 'aadpodidentity.k8s.io/strict': 'enabled' });
  });
  after(() => harness?.stop());

  const newName = () => `p${++count}`;
  /** Checks that the answer is a denial that says so, or none and no warning where nothing is expected. */
  const expect = ({ status, message, warnings }: Answer, says?: RegExp) => {
    assert.deepEqual(warnings, []);
    if (says === undefined) assert.ok(status < 400, message);
    else {
      assert.equal(status, 422, message);
      assert.match(message, /ValidatingAdmissionPolicy 'aad-pod-identity-/);
      assert.match(message, says);
    }
  };
  const create = (namespace: string, parts: PodParts) =>
    harness.call({ method: 'POST', path: podPath(namespace), body: pod(namespace, newName(), parts) });
  /** Makes a pod and applies a merge patch to it, or to a subresource. */
  const change = async (labels: Record<string, string>, body: unknown, subresource = '', parts: PodParts = {}) => {
    const made = await create('plain', { labels, ...parts });
    assert.equal(made.status, 201, made.message);
    if (subresource === 'ephemeralcontainers') await endInit('plain', `p${count}`);
    return harness.call({ method: 'PATCH', path: podPath('plain', `p${count}`, subresource), body });
  };
  /** What the kubelet says of our init container. */
  const endInit = async (namespace: string, name: string, state: object = { terminated: { exitCode: 0 } }) => {
    const status = { name: 'aad-pod-identity-init', image: 'i', imageID: '', ready: true, restartCount: 0, state };
    const path = podPath(namespace, name, 'status');
    expect(await harness.call({ method: 'PATCH', path, body: { status: { initContainerStatuses: [status] } } }));
  };
  const labelled = (labels: Record<string, string | null>) => ({ metadata: { labels } });

  it('compile without a complaint about types', async () => {
    const list = async () => {
      const { items } = JSON.parse(await harness.kubectl(['get', 'validatingadmissionpolicies', '-o', 'json'])) as { items: unknown[] };
      return items.map((item) => at(item, 'status'));
    };
    await eventually(async () => (await list()).every((status) => at(status, 'observedGeneration') !== undefined), 'all are checked');
    const complaints = (await list()).map((status) => at(status, 'typeChecking', 'expressionWarnings'));
    assert.deepEqual(complaints, Array(6).fill(undefined));
  });

  const set = /is set by the webhook, which was not called for this pod/;
  const creations: [title: string, namespace: string, parts: PodParts, says?: RegExp][] = [
    ['a labelled pod with the marker redirect', 'plain', { labels: redirected }],
    ['a labelled pod with the marker none', 'plain', { labels: { ...redirected, [marker]: 'none' } }],
    ['a labelled pod with the marker guard', 'plain', { labels: { ...redirected, [marker]: 'guard' } }],
    ['a labelled pod without a marker', 'plain', { labels: { aadpodidbinding: 'sel' } }],
    ['a pod with other labels', 'plain', { labels: { app: 'x' } }],
    ['a guarded pod of a guarded namespace', 'guarded', { labels: { [marker]: 'guard' } }],
    ['a forged redirect without our label', 'plain', { labels: { [marker]: 'redirect' } }, set],
    ['a forged redirect in a guarded namespace', 'guarded', { labels: { [marker]: 'redirect' } }, set],
    ['a forged guard outside of guarded namespaces', 'plain', { labels: { [marker]: 'guard' } }, set],
    ['a marker of another value', 'plain', { labels: { ...redirected, [marker]: 'other' } }, set],
    ['an empty marker', 'plain', { labels: { ...redirected, [marker]: '' } }, set],
    ['a marker in kube-system', 'kube-system', { labels: redirected }, set],
    ['a marker in a namespace of AKS', 'aks', { labels: redirected }, set],
    ['a guard in a namespace of AKS', 'aks', { labels: { [marker]: 'guard' } }, set],
    ['a marker in a namespace that the values exclude', 'excluded', { labels: redirected }, set],
    ['a guarded pod where the values exclude labelled ones', 'excluded', { labels: { [marker]: 'guard' } }],
    ['a guard in the release namespace', system, { labels: { [marker]: 'guard' } }, set],
  ];
  for (const [title, namespace, parts, says] of creations)
    it(`${says === undefined ? 'let' : 'refuse'} ${title}`, async () => expect(await create(namespace, parts), says));

  it('refuse a mirror pod with the marker, which a kubelet makes', async () => {
    const annotations = { 'kubernetes.io/config.mirror': 'x', 'kubernetes.io/config.source': 'file' };
    expect(await create('plain', { labels: redirected, annotations, spec: { nodeName: 'n' } }), set);
  });

  const immutable = /says what the webhook put into this pod and cannot be added, changed or removed/;
  const late = /cannot be added to or changed on a pod without token proxy/;
  const optedOut = { ...redirected, [marker]: 'guard' };
  const updates: [title: string, labels: Record<string, string>, patch: Record<string, string | null>, says?: RegExp][] = [
    ['add the marker', {}, { [marker]: 'redirect' }, immutable],
    ['add an empty marker', {}, { [marker]: '' }, immutable],
    ['change the marker', { ...redirected, [marker]: 'none' }, { [marker]: 'redirect' }, immutable],
    ['remove the marker', redirected, { [marker]: null }, immutable],
    ['add our label to a pod without a marker', {}, { aadpodidbinding: 'sel' }, late],
    ['change our label on a pod without a marker', { aadpodidbinding: 'sel' }, { aadpodidbinding: 'other' }, late],
    ['change our label on a pod that has a guard only', optedOut, { aadpodidbinding: 'other' }, late],
    ['change our label on a redirected pod', redirected, { aadpodidbinding: 'other' }],
    ['change our label on a pod with the marker none', { ...redirected, [marker]: 'none' }, { aadpodidbinding: 'other' }],
    ['remove our label', redirected, { aadpodidbinding: null }],
    ['remove our label from a pod without a marker', { aadpodidbinding: 'sel' }, { aadpodidbinding: null }],
    ['change another label', redirected, { app: 'x' }],
    ['change another label of a labelled pod without a marker', { aadpodidbinding: 'sel' }, { app: 'x' }],
  ];
  for (const [title, labels, patch, says] of updates)
    for (const subresource of ['', 'status'])
      it(`${says === undefined ? 'let' : 'refuse to'} ${title}${subresource && ' by the status'}`, async () =>
        expect(await change(labels, labelled(patch), subresource), says));

  for (const subresource of ['ephemeralcontainers', 'resize'])
    it(`take no label through the subresource ${subresource}`, async () => {
      const { status, object } = await change({}, labelled({ ...redirected }), subresource);
      // Such an update changes containers only. The policies see it all the same.
      const labels = at(object, 'metadata', 'labels') ?? {};
      assert.ok(status === 422 || !(marker in (labels as object)), JSON.stringify(object));
    });

  for (const resource of ['pods/binding', 'bindings'])
    it(`refuse a marker that a Binding through ${resource} gives to a pod`, async () => {
      const target = { apiVersion: 'v1', kind: 'Node', name: 'n' };
      const bind = (name: string, labels: Record<string, string>) =>
        harness.call({
          method: 'POST',
          path: resource === 'bindings' ? '/api/v1/namespaces/plain/bindings' : podPath('plain', name, 'binding'),
          body: { apiVersion: 'v1', kind: 'Binding', metadata: { name, labels }, target },
        });
      await create('plain', {});
      const name = `p${count}`;
      expect(await bind(name, { [marker]: 'redirect' }), /a Binding to a node cannot give a pod the label/);
      expect(await bind(name, { aadpodidbinding: 'sel' }), /a Binding to a node cannot give a pod the label/);
      expect(await bind(name, { app: 'x' }));
      const { object } = await harness.call({ method: 'GET', path: podPath('plain', name) });
      assert.equal(at(object, 'metadata', 'labels', 'app'), 'x', 'a pod gets the labels of its Binding');
    });

  const images: [title: string, container: string, labels: Record<string, string>, says?: RegExp][] = [
    ['the init container', 'aad-pod-identity-init', redirected, /the images of aad-pod-identity-init and aad-pod-identity-proxy/],
    ['the guard of a pod', 'aad-pod-identity-init', { ...redirected, [marker]: 'guard' }, /cannot be changed on a pod/],
    ['the proxy', 'aad-pod-identity-proxy', redirected, /cannot be changed on a pod/],
    ['another container', 'app', redirected],
  ];
  for (const [title, container, labels, says] of images)
    it(`${says === undefined ? 'let' : 'refuse'} another image for ${title}`, async () => {
      const named = (name: string, image: string) => ({ name, image });
      const before = ['aad-pod-identity-init', 'aad-pod-identity-proxy'].map((name) => named(name, 'i'));
      // A merge patch replaces whole lists, whose items the API server completed.
      await create('plain', { labels, spec: { initContainers: before } });
      const path = podPath('plain', `p${count}`);
      const { object } = await harness.call({ method: 'GET', path });
      const changed = (field: string) =>
        (at(object, 'spec', field) as { name: string }[]).map((one) => (one.name === container ? { ...one, image: 'other' } : one));
      const body = { spec: { initContainers: changed('initContainers'), containers: changed('containers') } };
      expect(await harness.call({ method: 'PATCH', path, body }), says);
    });

  for (const subresource of ['exec', 'attach'])
    it(`refuse to ${subresource} into our containers, and only into these`, async () => {
      await create('plain', { labels: redirected });
      const connect = (container: string) =>
        harness.call({
          method: 'POST',
          path: `${podPath('plain', `p${count}`, subresource)}?stdout=true&command=x&container=${container}`,
        });
      for (const name of ['aad-pod-identity-proxy', 'aad-pod-identity-init'])
        expect(await connect(name), /a process in the containers of the token proxy could act as it/);
      // The pod has no node.
      for (const name of ['app', '']) assert.match((await connect(name)).message, /does not have a host assigned/);
    });

  const commands: [what: string, container: string, command: readonly string[], isLet: boolean][] = [
    ['the status of the proxy', 'proxy', [...sidecarCommand, 'status'], true],
    ['a trial of a token', 'proxy', [...sidecarCommand, 'try-token', '--resource=https://vault.azure.net'], true],
    ['a trial with another flag', 'proxy', [...sidecarCommand, 'try-token', '--resource=r', '--listen=10.0.0.1:1'], false],
    ['a second proxy', 'proxy', [...sidecarCommand, 'proxy'], false],
    ['a flag of the runtime', 'proxy', ['/usr/local/bin/bun', '-e', 'x', ...sidecarCommand.slice(1), 'status'], false],
    ['parts in one', 'proxy', [sidecarCommand.join('\n'), 'status'], false],
    ['more behind', 'proxy', [...sidecarCommand, 'status', 'x'], false],
    ['the status in the init container', 'init', [...sidecarCommand, 'status'], false],
  ];
  for (const [what, container, command, isLet] of commands)
    it(`${isLet ? 'let' : 'refuse to'} exec ${what}`, async () => {
      await create('plain', { labels: redirected });
      const query = [...command.map((part) => ['command', part]), ['container', `aad-pod-identity-${container}`], ['stdout', 'true']];
      const path = `${podPath('plain', `p${count}`, 'exec')}?${new URLSearchParams(query)}`;
      const { message } = await harness.call({ method: 'POST', path });
      // The pod has no such container, which is looked at after the policies.
      assert.match(message, isLet ? /is not valid for pod/ : /could act as it/);
    });

  const raw = /a debug container needs to drop the capabilities NET_RAW, SETGID and SETUID/;
  const undo = /could undo or pass the packet rules/;
  const own = /user and group 25790 belong to the token proxy/;
  const sees = /a debug container that sees the processes of the token proxy/;
  const early = /the packet rules of this pod are not in place/;
  const withoutRaw = { capabilities: { drop: ['NET_RAW', 'SETGID', 'SETUID'] } };
  const debug = (securityContext: object) => ({
    spec: { ephemeralContainers: [{ name: 'd', image: 'i', securityContext: { ...withoutRaw, ...securityContext } }] },
  });
  const profiles: [profile: string, target?: string | undefined, says?: RegExp][] = [
    ['restricted'],
    ['restricted', 'app'],
    ['legacy', undefined, raw],
    ['general', undefined, raw],
    ['baseline', undefined, raw],
    ['netadmin', undefined, undo],
    ['sysadmin', undefined, undo],
    ['restricted', 'aad-pod-identity-proxy', sees],
  ];
  for (const [profile, target, says] of profiles)
    it(`${says === undefined ? 'let' : 'refuse'} kubectl debug --profile=${profile}${target === undefined ? '' : ` --target=${target}`}`, async () => {
      const containers = ['app', 'aad-pod-identity-proxy'].map((name) => ({ name, image: 'i' }));
      await create('plain', { labels: redirected, spec: { containers } });
      await endInit('plain', `p${count}`);
      const more = target === undefined ? [] : [`--target=${target}`];
      const args = ['debug', '-n', 'plain', `p${count}`, '--image=i', `--profile=${profile}`, ...more];
      const { code, stderr } = await run(harness.plane.kubectl, args, { env: { KUBECONFIG: harness.plane.kubeconfig } });
      if (says === undefined) assert.equal(code, 0, stderr);
      else assert.match(stderr, says);
    });

  const contexts: [title: string, securityContext: object, says: RegExp][] = [
    ['the user of the proxy', { runAsUser: 25790 }, own],
    ['the group of the proxy', { runAsGroup: 25790 }, own],
    ['a capability in lower case', { capabilities: { add: ['net_admin'] } }, undo],
    ['a capability with its prefix', { capabilities: { add: ['CAP_NET_RAW'] } }, undo],
    ['all capabilities', { capabilities: { add: ['ALL'] } }, undo],
    ['SYS_ADMIN', { capabilities: { add: ['SYS_ADMIN'] } }, undo],
    ['BPF', { capabilities: { add: ['BPF'] } }, undo],
    ['SETUID after it dropped all', { capabilities: { drop: ['ALL'], add: ['SETUID'] } }, undo],
    ['SETUID and SETGID', { capabilities: { drop: ['NET_RAW'] } }, raw],
    ['all privileges', { privileged: true }, undo],
    ['its default capabilities', { capabilities: {} }, raw],
  ];
  for (const [title, securityContext, says] of contexts)
    it(`refuse a debug container with ${title}`, async () =>
      expect(await change(redirected, debug(securityContext), 'ephemeralcontainers'), says));

  it('refuse a debug container with SYS_PTRACE where the pod shares its processes', async () => {
    const body = debug({ capabilities: { add: ['SYS_PTRACE'], drop: ['ALL'] } });
    const parts = { spec: { shareProcessNamespace: true } };
    expect(await change(redirected, body, 'ephemeralcontainers', parts), sees);
    expect(await change(redirected, body, 'ephemeralcontainers'));
  });

  const states: [title: string, state: object | undefined][] = [
    ['has no status', undefined],
    ['waits for its image', { waiting: { reason: 'ImagePullBackOff' } }],
    ['runs', { running: {} }],
    ['has failed', { terminated: { exitCode: 137 } }],
  ];
  for (const value of ['redirect', 'guard'])
    for (const [title, state] of states)
      it(`refuse a debug container while the init container ${title}: ${value}`, async () => {
        await create('plain', { labels: { ...redirected, [marker]: value } });
        if (state !== undefined) await endInit('plain', `p${count}`, state);
        const path = podPath('plain', `p${count}`, 'ephemeralcontainers');
        expect(await harness.call({ method: 'PATCH', path, body: debug({}) }), early);
        if (state === undefined || 'terminated' in state) return;
        await endInit('plain', `p${count}`);
        expect(await harness.call({ method: 'PATCH', path, body: debug({}) }));
      });

  it('let a debug container into a pod without packet rules at any time', async () => {
    await create('plain', { labels: { ...redirected, [marker]: 'none' } });
    expect(await harness.call({ method: 'PATCH', path: podPath('plain', `p${count}`, 'ephemeralcontainers'), body: debug({}) }));
  });

  for (const value of ['none', 'guard'])
    it(`refuse a privileged debug container in a pod with the marker ${value}`, async () =>
      expect(await change({ ...redirected, [marker]: value }, debug({ privileged: true }), 'ephemeralcontainers'), undo));

  it('let a privileged debug container into a pod without a marker', async () =>
    expect(await change({}, debug({ privileged: true }), 'ephemeralcontainers')));

  it('look at the added debug containers only', async () => {
    await create('plain', { labels: redirected });
    await endInit('plain', `p${count}`);
    const path = podPath('plain', `p${count}`, 'ephemeralcontainers');
    const add = (...ephemeralContainers: object[]) => harness.call({ method: 'PATCH', path, body: { spec: { ephemeralContainers } } });
    const first = { name: 'd', image: 'i', securityContext: withoutRaw };
    const second = { name: 'e', image: 'i' };
    expect(await add(first));
    expect(await add(first, second), raw);
    expect(await add(first, { ...second, securityContext: withoutRaw }));
  });

  const escalates = /needs securityContext.allowPrivilegeEscalation false/;
  const noUser = /needs securityContext.runAsUser/;
  const asRoot = /that runs as root needs to drop the capabilities/;
  const rootWith = (capabilities: object) => ({ securityContext: { allowPrivilegeEscalation: false, runAsUser: 0, capabilities } });
  const proxy = { name: 'aad-pod-identity-proxy', image: 'i' };
  const strictPods: [title: string, namespace: string, parts: PodParts, says?: RegExp][] = [
    ['a container with a user and without escalation', 'strict', { container: strict }],
    [
      'a container with the user of its pod',
      'strict',
      {
        spec: { securityContext: { runAsUser: 1000 } },
        container: { securityContext: { allowPrivilegeEscalation: false } },
      },
    ],
    ['our own containers', 'strict', { container: strict, spec: { initContainers: [proxy] } }],
    ['root that drops all capabilities', 'strict', { container: rootWith({ drop: ['ALL'] }) }],
    ['root that drops the three capabilities', 'strict', { container: rootWith({ drop: ['SETUID', 'SETGID', 'NET_RAW'] }) }],
    ['any container outside of strict namespaces', 'plain', {}],
    ['a container that may escalate', 'strict', { container: { securityContext: { runAsUser: 1000 } } }, escalates],
    ['a container with the user of its image', 'strict', { container: { securityContext: { allowPrivilegeEscalation: false } } }, noUser],
    ['root with its capabilities', 'strict', { container: rootWith({}) }, asRoot],
    ['root that drops two of three', 'strict', { container: rootWith({ drop: ['SETUID', 'SETGID'] }) }, asRoot],
    ['root that adds SETUID again', 'strict', { container: rootWith({ drop: ['ALL'], add: ['setuid'] }) }, asRoot],
    ['root that adds SYS_PTRACE', 'strict', { container: rootWith({ drop: ['ALL'], add: ['SYS_PTRACE'] }) }, asRoot],
    ['root that adds SYS_ADMIN', 'strict', { container: rootWith({ drop: ['ALL'], add: ['SYS_ADMIN'] }) }, asRoot],
    ['root that adds another default capability', 'strict', { container: rootWith({ drop: ['ALL'], add: ['CHOWN', 'cap_kill'] }) }],
    [
      'an init container that may escalate',
      'strict',
      {
        container: strict,
        spec: { initContainers: [{ name: 'first', image: 'i', securityContext: { runAsUser: 1 } }] },
      },
      escalates,
    ],
  ];
  for (const [title, namespace, parts, says] of strictPods)
    it(`${says === undefined ? 'let' : 'refuse'} ${title} beside a proxy`, async () =>
      expect(await create(namespace, { labels: redirected, ...parts }), says));

  it('ask nothing of pods without a proxy in a strict namespace', async () => {
    expect(await create('strict', {}));
    expect(await create('strict', { labels: { ...redirected, [marker]: 'none' } }));
  });

  it('refuse a debug container with the user of its image in a strict namespace', async () => {
    await create('strict', { labels: redirected, container: strict });
    await endInit('strict', `p${count}`);
    const path = podPath('strict', `p${count}`, 'ephemeralcontainers');
    expect(await harness.call({ method: 'PATCH', path, body: debug({ allowPrivilegeEscalation: false }) }), noUser);
    expect(await harness.call({ method: 'PATCH', path, body: debug({ allowPrivilegeEscalation: false, runAsUser: 1000 }) }));
  });

  it('stay below the cost limit of the API server for a pod of 100 containers', async () => {
    const containers = Array.from({ length: 100 }, (_, index) => ({ name: `c${index}`, image: 'i', ...strict }));
    expect(await create('strict', { labels: redirected, spec: { containers } }));
  });

  const exception = (namespace: string, podLabels: Record<string, string>): Call => ({
    method: 'POST',
    path: ours(namespace, 'azurepodidentityexceptions'),
    body: { apiVersion, kind: 'AzurePodIdentityException', metadata: { name: newName() }, spec: { podLabels } },
  });
  const notListed = /guard\.exceptionNamespaces does not list this namespace/;

  it('let exceptions into listed namespaces only', async () => {
    expect(await harness.call(exception('kube-system', { app: 'x' })));
    expect(await harness.call(exception('plain', { app: 'x' })), notListed);
  });

  it('refuse to widen an exception that was there before', async () => {
    const path = ours('plain', 'azurepodidentityexceptions', 'old');
    expect(await harness.call({ method: 'PATCH', path, body: { spec: { podLabels: { app: 'y' } } } }), notListed);
    expect(await harness.call({ method: 'PATCH', path, body: { metadata: { labels: { a: 'b' } } } }));
    expect(await harness.call({ method: 'DELETE', path }));
  });

  const account = (namespace: string, name: string) => `system:serviceaccount:${namespace}:${name}`;
  const writers: [title: string, user: string, group: string | undefined, mayWrite: boolean][] = [
    ['the controller', account(system, 'aad-pod-identity-controller'), undefined, true],
    ['the broker', account(system, 'aad-pod-identity-broker'), undefined, true],
    ['a MIC of aad-pod-identity', account('default', 'aad-pod-id-mic-service-account'), undefined, true],
    ['the namespace controller', account('kube-system', 'namespace-controller'), undefined, true],
    ['the garbage collector', account('kube-system', 'generic-garbage-collector'), undefined, true],
    ['system:masters', 'root', 'system:masters', true],
    ['the webhook', account(system, 'aad-pod-identity-webhook'), undefined, false],
    ['a controller of another namespace', account('plain', 'aad-pod-identity-controller'), undefined, false],
    ['a person', 'bob', 'developers', false],
  ];
  for (const [title, user, group, mayWrite] of writers)
    it(`${mayWrite ? 'let' : 'refuse'} writes of AzureAssignedIdentities by ${title}`, async () => {
      const says = mayWrite ? undefined : /may not write AzureAssignedIdentities/;
      const name = newName();
      const path = ours('plain', 'azureassignedidentities');
      const made = (by: string, of: string | undefined) =>
        harness.call({
          method: 'POST',
          path,
          user: by,
          group: of,
          body: { apiVersion, kind: 'AzureAssignedIdentity', metadata: { name }, spec: { pod: 'p' } },
        });
      expect(await made(user, group), says);
      if (!mayWrite) expect(await made('root', 'system:masters'));
      const metadata = { annotations: { 'aadpodidentity.k8s.io/reason': 'x' } };
      expect(await harness.call({ method: 'PATCH', path: `${path}/${name}`, user, group, body: { metadata } }), says);
      expect(await harness.call({ method: 'DELETE', path: `${path}/${name}`, user, group }), says);
    });

  it('let a namespace go with all that is in it', async () => {
    await harness.namespace('ending', { team: 'a' });
    const body = { apiVersion, kind: 'AzureAssignedIdentity', metadata: { name: 'a' } };
    const path = ours('ending', 'azureassignedidentities');
    expect(await harness.call({ method: 'POST', path, body, user: 'root', group: 'system:masters' }));
    await harness.kubectl(['delete', 'namespace', 'ending', '--timeout=60s']);
  });

  it('warn and refuse nothing by default, except forged markers', async () => {
    await harness.applyPolicies();
    const body = { apiVersion, kind: 'AzureAssignedIdentity', metadata: { name: newName() } };
    for (const [answer, says] of [
      [await change(redirected, debug({ privileged: true }), 'ephemeralcontainers'), undo],
      [await create('strict', { labels: redirected }), noUser],
      [await harness.call(exception('plain', { app: 'x' })), notListed],
      [
        await harness.call({ method: 'POST', path: ours('plain', 'azureassignedidentities'), body }),
        /may not write AzureAssignedIdentities/,
      ],
    ] as const) {
      assert.ok(answer.status < 400, answer.message);
      assert.match(answer.warnings.join('\n'), says);
    }
    expect(await create('plain', { labels: { [marker]: 'redirect' } }), set);
  });
});
