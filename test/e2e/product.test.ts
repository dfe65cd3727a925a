// The product in the real cluster, installed into its own namespace: tokens for applications, operation by the platform team.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import * as esbuild from 'esbuild';
import { injectedLabel } from '../../api/names.ts';
import { at, isRecord, stringAt } from '../../lib/kube/objects.ts';
import { readJwt } from '../azure/core/jwt.ts';
import { findCsiDriver } from '../cluster/binaries.ts';
import { azure } from '../cluster/node-config.ts';
import { processesInPod } from '../cluster/procfs.ts';
import { missingForCluster, missingForUserNamespaces } from '../cluster/requirements.ts';
import { mustRun } from '../cluster/run.ts';
import { controllerSignIn, identities } from '../demo/azure.ts';
import { privateMemoryOf } from '../demo/memory.ts';
import { reportOf, runPlugin } from '../integration/cli/plugin.ts';
import { csiDriver, csiDriverName, csiDriverPod, mountingPod } from './csi-driver.ts';
import type { PodParts } from './fixtures.ts';
import { identity, listOf, pod, podTemplate, workload } from './fixtures.ts';
import type { Product } from './harness.ts';
import { eventually, imds, residentOf, startProduct, system, vault } from './harness.ts';
import { policedCluster } from './policed-cluster.ts';

const missing = await missingForCluster();
const skip = missing.length > 0 ? `the cluster needs ${missing.join('; ')}` : false;
const lacking = missing.length > 0 ? missing : await missingForUserNamespaces();
const log = (line: string) => console.log(line);
const demo = identities.demo.clientId;
const second = identities.second.clientId;
const curlToken = ['sh', '-c', `curl -sf -m 60 -H Metadata:true '${imds}${vault}' >/dev/null && echo a token`];

/** Paths in all layers of a docker-archive. */
async function filesOf(archive: string): Promise<string[]> {
  const [image]: { Layers: string[] }[] = JSON.parse(await mustRun('tar', ['-xOf', archive, 'manifest.json']));
  const lists = (image?.Layers ?? []).map((layer) => mustRun('sh', ['-c', 'tar -xOf "$0" "$1" | tar -t', archive, layer]));
  return (await Promise.all(lists)).join('').split('\n');
}

/** Our own programs must live with every policy of the guard at its strictest. */
const strictest = [
  'guard.enabled=true',
  ...['ephemeralContainers', 'containerPrivileges', 'exceptions', 'assignedIdentities'].map((policy) => `guard.policies.${policy}=deny`),
];
const nodeEndpoint = ['nodeEndpoint.enabled=true', `nodeEndpoint.drivers={${csiDriverName}}`];

describe('the product in a real cluster', { skip }, () => {
  let product: Product;
  const app = (selector: string, parts?: PodParts) => podTemplate(product.cluster.appImage, selector, parts);
  const items = async (...args: string[]): Promise<unknown[]> => {
    const found = at(await product.json(['get', ...args]), 'items');
    return Array.isArray(found) ? found : [];
  };
  const podsOf = (component: string) => items('pods', '-n', system, '-l', `app.kubernetes.io/component=${component}`);
  const uidOf = async (name: string) => stringAt(await product.json(['get', 'pod', name]), 'metadata', 'uid') ?? '';
  /** Who answers for the metadata service. */
  const serverOf = (name: string) =>
    product.exec(name, ['curl', '-s', '-o', '/dev/null', '-w', '%header{server}', '-H', 'Metadata:true', `${imds}${vault}`]);
  const scale = async (component: 'controller' | 'broker', replicas: number) => {
    const deployment = `deployment/aad-pod-identity-${component}`;
    await product.kubectl(['scale', deployment, '-n', system, `--replicas=${replicas}`]);
    if (replicas > 0) await product.kubectl(['rollout', 'status', deployment, '-n', system, '--timeout=60s']);
    else
      await eventually(
        `no ${component}`,
        () => podsOf(component),
        (left) => left.length === 0,
      );
  };
  const scaleBoth = (replicas: number) => Promise.all([scale('controller', replicas), scale('broker', replicas)]);

  before(async () => {
    product = await startProduct('e2e-product', log, { set: [...strictest, ...nodeEndpoint], userNamespaces: lacking.length === 0 });
    const notes = await product.helm('install');
    assert.match(notes, /is installed in namespace identity-system/);
    assert.doesNotMatch(await product.kubectl(['get', 'events', '-n', system]), /FailedCreate/);
    await product.apply(...identity('demo', 'one', 'both'));
    // The age of a binding is known to the second; the older one gives the default.
    await delay(1_000);
    await product.apply(...identity('second', 'two', 'both'));
    await product.apply(
      workload('Deployment', 'shared', app('one'), { replicas: 3 }),
      workload('StatefulSet', 'stateful', app('one')),
      workload('DaemonSet', 'daemon', app('one')),
      pod('both', app('both')),
      pod('chosen', app('both', { annotations: { 'aadpodidentity.k8s.io/default-identity': 'second' } })),
    );
  });
  after(() => product?.cluster.down());

  it('gives a Job a token in its first init container, and ends within 3 s of its app', async () => {
    const image = product.cluster.appImage;
    const template = app('one', {
      app: { command: curlToken },
      spec: { restartPolicy: 'Never', initContainers: [{ name: 'first', image, command: curlToken }] },
    });
    await product.apply({ apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'job' }, spec: { backoffLimit: 0, template } });
    await product.kubectl(['wait', '--for=condition=Complete', 'job/job', '--timeout=60s']);
    assert.equal(await product.kubectl(['logs', 'job/job', '-c', 'first']), 'a token\n');
    assert.equal(await product.kubectl(['logs', 'job/job', '-c', 'app']), 'a token\n');
    const [finished] = await items('pods', '-l', 'job-name=job');
    const endOf = (field: string, name: string) => {
      const statuses = at(finished, 'status', field);
      const status = Array.isArray(statuses) ? statuses.find((entry) => stringAt(entry, 'name') === name) : undefined;
      return Date.parse(stringAt(status, 'state', 'terminated', 'finishedAt') ?? '');
    };
    const late = endOf('initContainerStatuses', 'aad-pod-identity-proxy') - endOf('containerStatuses', 'app');
    assert.ok(late <= 3000, `the sidecar ended ${late} ms after the app`);
  });

  it('gives tokens after a restart in place of the app, or of all containers', async () => {
    const restarting = (action: string) => ({
      app: {
        command: ['sh', '-c', 'test -e /runs/again && exec sleep infinity; touch /runs/again; exit 42'],
        restartPolicy: 'Never',
        restartPolicyRules: [{ action, exitCodes: { operator: 'In', values: [42] } }],
        volumeMounts: [{ name: 'runs', mountPath: '/runs' }],
      },
      spec: { restartPolicy: 'Never', volumes: [{ name: 'runs', emptyDir: {} }] },
    });
    await product.apply(
      pod('app-again', app('one', restarting('Restart'))),
      pod('all-again', app('one', restarting('RestartAllContainers'))),
    );
    const restartsOf = async (name: string) => {
      const status = at(await product.json(['get', 'pod', name]), 'status');
      const statuses = ['initContainerStatuses', 'containerStatuses'].flatMap((field) => at(status, field) ?? []);
      return Object.fromEntries(statuses.map((one) => [stringAt(one, 'name'), at(one, 'restartCount')]));
    };
    for (const [name, ours] of [
      ['app-again', 0],
      ['all-again', 1],
    ] as const) {
      await eventually(
        `${name} has restarted`,
        () => restartsOf(name),
        (restarts) => restarts.app === 1,
      );
      await product.ready(`pod/${name}`);
      assert.deepEqual(await restartsOf(name), { 'aad-pod-identity-init': ours, 'aad-pod-identity-proxy': ours, app: 1 });
      assert.equal(await product.appOf(name), demo);
      assert.match(await serverOf(name), /aad-pod-identity/);
    }
    await product.kubectl(['delete', 'pod', 'app-again', 'all-again', '--wait=false']);
  });

  it('gives tokens to a pod with users of its own', { skip: lacking.length > 0 ? lacking.join('; ') : false }, async () => {
    await product.apply(pod('own-users', app('one', { spec: { hostUsers: false } })));
    await product.ready('pod/own-users');
    assert.doesNotMatch(await product.exec('own-users', ['cat', '/proc/self/uid_map']), /^\s*0\s+0\s/);
    assert.equal(await product.appOf('own-users'), demo);
    assert.match(await serverOf('own-users'), /aad-pod-identity/);
    await product.kubectl(['delete', 'pod', 'own-users', '--wait=false']);
  });

  it('shares one identity among pods of three kinds of workload until the last one', async () => {
    for (const name of ['deployment/shared', 'statefulset/stateful', 'daemonset/daemon']) {
      await product.kubectl(['rollout', 'status', name, '--timeout=60s']);
      assert.equal(await product.appOf(name), demo);
    }
    await product.kubectl(['delete', 'deployment', 'shared', '--cascade=foreground']);
    assert.equal(await product.appOf('daemonset/daemon', 'https://storage.azure.com'), demo);
    assert.ok((await product.attached()).includes('demo'));
  });

  it('assigns again to a new pod with the name of a deleted one', async () => {
    const old = await uidOf('stateful-0');
    await product.kubectl(['delete', 'pod', 'stateful-0']);
    const fresh = await eventually(
      'a new pod',
      () => uidOf('stateful-0').catch(() => old),
      (uid) => uid !== old,
    );
    await product.ready('pod/stateful-0');
    assert.equal(await product.appOf('stateful-0'), demo);
    const assigned = await product.json(['get', 'azureassignedidentity', 'stateful-0-default-demo']);
    assert.equal(at(assigned, 'metadata', 'annotations', 'aadpodidentity.k8s.io/pod-uid'), fresh);
  });

  it('gives tokens of the identity named by any id in any case, else of the default', async () => {
    await product.ready('pod/both', 'pod/chosen');
    assert.equal(await product.appOf('both'), demo);
    assert.equal(await product.appOf('chosen'), second);
    const assigned = await product.json(['get', 'azureassignedidentity', 'both-default-second']);
    const objectId = String(at(assigned, 'metadata', 'annotations', 'aadpodidentity.k8s.io/object-id'));
    const { id } = identities.second;
    for (const [key, value] of [
      ['client_id', second],
      ['object_id', objectId],
      ['msi_res_id', id],
      ['mi_res_id', id],
    ] as const)
      for (const spelled of [value.toLowerCase(), value.toUpperCase()])
        assert.equal(await product.appOf('both', `${vault}&${key}=${spelled}`), second, `${key}=${spelled}`);
    const refused = await product.ask('stateful-0', `${vault}&client_id=${second}`);
    assert.match(String(refused.error_description), /^Identity not found: client_id .* Bound to it: default\/demo/);
  });

  it('has the licences of what is in an image beside it', async () => {
    const { controlPlane, sidecar } = product.images;
    const debian = ['libc6', 'libmnl0', 'iptables'].map((name) => `usr/share/doc/${name}/copyright`);
    for (const [image, copyrights] of [
      [controlPlane, debian.slice(0, 1)],
      [sidecar, debian],
    ] as const) {
      const files = await filesOf(image.archive);
      for (const file of ['licenses/LICENSE', 'licenses/THIRD_PARTY_LICENSES', 'usr/share/common-licenses/GPL-2', ...copyrights])
        assert.ok(files.includes(file), `${image.reference}: ${file}`);
    }
  });

  it('gives @azure/identity tokens by the redirect and by App Service variables', async () => {
    const bundle = await esbuild.build({
      entryPoints: [path.join(import.meta.dirname, 'sdk.ts')],
      bundle: true,
      platform: 'node',
      format: 'cjs',
      write: false,
    });
    const node = {
      image: product.images.controlPlane.reference,
      command: ['node', '-e', 'setInterval(() => {}, 1e9)'],
      securityContext: { runAsUser: 1000 },
    };
    const annotations = { 'aadpodidentity.k8s.io/interception': 'none' };
    await product.apply(pod('sdk', app('both', { app: node })), pod('sdk-variables', app('both', { app: node, annotations })));
    await product.ready('pod/sdk', 'pod/sdk-variables');
    for (const name of ['sdk', 'sdk-variables']) {
      const seen: unknown = JSON.parse(await product.exec(name, ['node', '-'], bundle.outputFiles[0]?.text));
      assert.deepEqual(
        seen,
        { managed: demo, managedByClientId: second, managedByResourceId: second, default: demo, defaultByClientId: second },
        name,
      );
    }
    const list_ = at(await product.json(['get', 'pod', 'sdk-variables']), 'spec', 'initContainers');
    assert.deepEqual(Array.isArray(list_) && list_.map((item) => stringAt(item, 'name')), ['aad-pod-identity-proxy']);
  });

  describe('the product without controller and broker', () => {
    let waiting: Promise<string>;
    before(async () => {
      await scaleBoth(0);
      await product.apply(pod('late', app('one')));
      await product.ready('pod/late');
      waiting = product.exec('late', ['curl', '-s', '-m', '60', '-D', '-', '-H', 'Metadata: true', `${imds}${vault}`]);
      waiting.catch(() => {});
    });
    after(() => scaleBoth(2));

    it('keeps cached tokens and gives new ones', async () => {
      assert.equal(await product.appOf('both'), demo);
      assert.equal(await product.appOf('both', 'https://servicebus.azure.net'), demo);
    });

    it('admits pods while a webhook replica is deleted', async () => {
      const [victim] = await podsOf('webhook');
      const gated = { schedulingGates: [{ name: 'test.local/never' }] };
      const many = (lane: number) => Array.from({ length: 100 }, (_, index) => pod(`many-${lane}-${index}`, app('many', { spec: gated })));
      const created = [1, 2].map((lane) => product.apply(...many(lane)));
      await product.kubectl(['delete', 'pod', stringAt(victim, 'metadata', 'name') ?? '', '-n', system, '--wait=false']);
      await Promise.all(created);
      const made = await items('pods', '-l', 'aadpodidbinding=many');
      const inits = made.map((entry) => at(entry, 'spec', 'initContainers'));
      assert.equal(inits.filter((list) => Array.isArray(list) && stringAt(list[0], 'name') === 'aad-pod-identity-init').length, 200);
      await product.kubectl(['delete', 'pod', '-l', 'aadpodidbinding=many', '--grace-period=0', '--force', '--wait=false']);
    });

    it('redirects every user of a pod but the proxy, also to an IPv4-mapped address', async () => {
      const server = async (user: string, group: string, host = '169.254.169.254') => {
        const as = ['setpriv', `--reuid=${user}`, `--regid=${group}`, '--clear-groups'];
        const url = imds.replace('169.254.169.254', host) + vault;
        return product.exec('both', [
          ...as,
          'curl',
          '-s',
          '-g',
          '-m',
          '50',
          '-o',
          '/dev/null',
          '-w',
          '%header{server}',
          '-H',
          'Metadata:true',
          url,
        ]);
      };
      for (const [user, group] of [
        ['0', '0'],
        ['1000', '1000'],
        ['25790', '0'],
        ['0', '25790'],
      ] as const)
        assert.match(await server(user, group), /aad-pod-identity/, `${user}:${group}`);
      assert.match(await server('0', '0', '[::ffff:169.254.169.254]'), /aad-pod-identity/);
      assert.doesNotMatch(await server('25790', '25790'), /aad-pod-identity/);
    });

    it('explains denials and warnings of the webhook', async () => {
      const say = async (name: string, parts: PodParts, namespace?: string) => {
        const { stdout, stderr } = await product.cluster.kubectl(['apply', '-f', '-'], {
          input: JSON.stringify(pod(name, app('one', parts), namespace)),
        });
        return stdout + stderr;
      };
      const refused = /denied the request: /;
      const wrong = { 'aadpodidentity.k8s.io/inject': 'yes' };
      for (const [parts, text] of [
        [{ annotations: wrong }, /inject is "yes", accepted is true or false/],
        [{ app: { securityContext: { runAsUser: 25790 } } }, /spec\.containers\[app\]\.securityContext\.runAsUser: .*choose another id/],
        [{ app: { name: 'aad-pod-identity-proxy' } }, /reserved: rename yours/],
        [{ spec: { containers: null } }, /spec\.containers: a pod needs at least one container/],
      ] as const) {
        const said = await say('refused', parts);
        assert.match(said, refused);
        assert.match(said, text);
      }
      assert.match(await say('host', { spec: { hostNetwork: true } }), /created\nWarning: pods with hostNetwork are not injected/);
      assert.equal(at(await product.json(['get', 'pod', 'host']), 'spec', 'initContainers'), undefined);

      await product.apply({
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: 'baseline', labels: { 'pod-security.kubernetes.io/enforce': 'baseline' } },
      });
      const strict = await eventually(
        'the warning',
        () => say('strict', {}, 'baseline'),
        (said) => said.includes('enforces pod security'),
      );
      assert.match(strict, /enforce privileged or annotate aadpodidentity\.k8s\.io\/interception=none/);

      await product.apply(workload('ReplicaSet', 'wrong', app('one', { annotations: wrong })));
      await eventually(
        'the reason in kubectl describe',
        () => product.kubectl(['describe', 'rs', 'wrong']),
        (text) => /FailedCreate .*accepted is true or false: correct or remove the annotation/.test(text),
      );
      await product.kubectl(['delete', 'rs/wrong', 'pod/host']);
    });

    it('gives the sidecar no API token and the programs no more rights than they need', async () => {
      const [pid] = processesInPod(await uidOf('both'), 'proxy');
      assert.ok(pid);
      const inApiTokens = readdirSync(`/proc/${pid}/root/var/run/secrets/kubernetes.io/serviceaccount`, {
        recursive: true,
        encoding: 'utf8',
      });
      // kubelet's own names, of an empty directory.
      assert.deepEqual(
        inApiTokens.filter((name) => !name.startsWith('..')),
        [],
      );
      assert.ok(inApiTokens.length <= 2, inApiTokens.join());
      const can = async (program: string, verb: string, what: string, namespace = 'default') => {
        const as = `--as=system:serviceaccount:${system}:aad-pod-identity-${program}`;
        return (await product.cluster.kubectl(['auth', 'can-i', verb, what, '-n', namespace, as])).stdout.trim();
      };
      const writes = ['create', 'update', 'patch', 'delete'];
      for (const verb of writes) assert.equal(await can('controller', verb, 'pods'), 'no', `controller ${verb} pods`);
      for (const verb of ['get', 'list', 'create'])
        assert.equal(await can('controller', verb, 'secrets'), 'no', `controller ${verb} secrets`);
      assert.equal(await can('controller', 'create', 'tokenreviews.authentication.k8s.io'), 'no');
      for (const verb of writes) assert.equal(await can('broker', verb, 'pods'), 'no', `broker ${verb} pods`);
      for (const verb of [...writes, 'list']) assert.equal(await can('broker', verb, 'secrets'), 'no', `broker ${verb} secrets`);
      assert.equal(await can('broker', 'list', 'secrets/aad-pod-identity-broker-tls', system), 'yes');
      assert.equal(await can('broker', 'list', 'secrets/aad-pod-identity-ca', system), 'no');
      for (const what of ['pods', 'secrets', 'configmaps']) assert.equal(await can('webhook', 'get', what), 'no', `webhook get ${what}`);
      assert.equal(await can('webhook', 'list', 'secrets/aad-pod-identity-webhook-tls', system), 'yes');
      assert.equal(await can('webhook', 'list', 'secrets/aad-pod-identity-ca', system), 'no');
    });

    it('answers 503 to a new pod, and gives it a token when both are back', async () => {
      assert.match(await waiting, /^HTTP\/1\.1 503 [\s\S]*retry-after: \d+[\s\S]*identity broker .*has not answered/i);
      await scaleBoth(2);
      assert.equal(await product.appOf('late'), demo);
    });
  });

  describe('the node endpoint of the product', () => {
    /** What a process of the node is answered for a pod: status and body. */
    const askOnNode = async (podName: string) => {
      const url = `http://localhost:2579/host/token/?resource=${vault}`;
      const command = ['curl', '-s', '-m', '60', '-w', '\n%{http_code}', '-H', 'podns: default', '-H', `podname: ${podName}`, url];
      const lines = (await product.exec(csiDriverPod, command)).split('\n');
      return { status: Number(lines.pop()), body: lines.join('\n') };
    };
    const appOfAnswer = (text: string) => readJwt(String(at(JSON.parse(text), 'token', 'access_token')))?.claims.appid;

    before(async () => {
      await product.apply(...csiDriver(product.cluster, await findCsiDriver(log)));
      await product.ready(`pod/${csiDriverPod}`);
      await eventually(
        'the driver is registered',
        () => product.kubectl(['get', 'csinode', product.cluster.nodeName, '-o', 'jsonpath={.spec.drivers[*].name}']),
        (names) => names.includes(csiDriverName),
      );
    });
    after(() => product.kubectl(['delete', 'pod', 'mounting', 'elsewhere', csiDriverPod, '--ignore-not-found', '--wait=false']));

    it('gives the token of a pod whose containers wait for their volume', async () => {
      await product.apply(mountingPod(product.cluster, 'mounting', 'mounting'));
      const refusal = await eventually(
        'the mount fails',
        () => product.kubectl(['get', 'events', '--field-selector=involvedObject.name=mounting,reason=FailedMount', '-o', 'yaml']),
        (text) => text.includes('HTTP 404'),
        60,
      );
      assert.match(refusal, /has no\s+identity/);
      const held = await product.json(['get', 'pod', 'mounting']);
      assert.equal(at(held, 'spec', 'initContainers'), undefined, 'no sidecar');
      assert.equal(at(held, 'status', 'phase'), 'Pending');
      assert.doesNotMatch(JSON.stringify(at(held, 'status', 'containerStatuses')), /"running"|"terminated"/);

      await product.apply(...identity('demo', 'mounting'));
      await product.ready('pod/mounting');
      assert.equal(appOfAnswer(await product.exec('mounting', ['cat', '/mnt/token/token'])), demo);
    });

    it('answers a process of the node for its pods, and refuses those of other nodes', async () => {
      const own = await askOnNode('mounting');
      assert.equal(own.status, 200, own.body);
      assert.equal(appOfAnswer(own.body), demo);
      await product.apply(mountingPod(product.cluster, 'elsewhere', 'mounting', { nodeName: 'elsewhere' }));
      for (const [name, why] of [
        ['elsewhere', /is not on node/],
        ['both', /mounts no volume of token\.csi\.test/],
      ] as const) {
        const refused = await askOnNode(name);
        assert.equal(refused.status, 404, name);
        assert.match(refused.body, why);
      }
    });

    it('answers a pod with 500 to which a rule of NMI leads it', async () => {
      const address = await product.kubectl(['get', 'pod', 'mounting', '-o', 'jsonpath={.status.podIP}']);
      const rule = [
        '-s',
        address,
        '-d',
        '169.254.169.254',
        '-p',
        'tcp',
        '--dport',
        '80',
        '-j',
        'DNAT',
        '--to-destination',
        '127.0.0.1:2579',
      ];
      const iptables = (action: string) => product.exec(csiDriverPod, ['iptables', '-t', 'nat', action, 'PREROUTING', ...rule]);
      await product.exec(csiDriverPod, ['sh', '-c', 'for f in /proc/sys/net/ipv4/conf/*/route_localnet; do echo 1 > $f; done']);
      await iptables('-I');
      try {
        const url = `http://169.254.169.254/host/token/?resource=${vault}`;
        const answer = await product.exec('mounting', [
          'curl',
          '-s',
          '-i',
          '-m',
          '20',
          '-H',
          'podns: default',
          '-H',
          'podname: mounting',
          url,
        ]);
        assert.match(answer, /^HTTP\/1\.1 500 [\s\S]*request remote address is not from a host\n$/);
      } finally {
        await iptables('-D');
      }
    });

    it('serves again after a restart under load', async () => {
      const url = `http://localhost:2579/host/token/?resource=${vault}`;
      const curl = `curl -s -o /dev/null -m 60 -w '%{http_code}\\n' -H 'podns: default' -H 'podname: mounting' '${url}'`;
      const load = product.exec(csiDriverPod, ['sh', '-c', `until [ -e /tmp/enough ]; do ${curl}; sleep 0.02; done; true`]);
      load.catch(() => {});
      await product.kubectl(['rollout', 'restart', 'daemonset/aad-pod-identity-node', '-n', system]);
      await product.kubectl(['rollout', 'status', 'daemonset/aad-pod-identity-node', '-n', system, '--timeout=60s']);
      assert.equal((await askOnNode('mounting')).status, 200);
      await product.exec(csiDriverPod, ['touch', '/tmp/enough']);
      // 000: nobody listens; kubelet tries the mount again.
      assert.deepEqual(
        (await load).split('\n').filter((status) => !['', '200', '503', '000'].includes(status)),
        [],
      );
    });

    it('takes less than 8 MiB of private memory', async () => {
      const [running] = await podsOf('node');
      const bytes = privateMemoryOf(stringAt(running, 'metadata', 'uid') ?? '', 'host');
      assert.ok(bytes);
      log(`node endpoint: ${(bytes / 1024 / 1024).toFixed(1)} MiB private`);
      assert.ok(bytes < 8 * 1024 * 1024);
    });
  });

  describe('kubectl aad-pod-identity', () => {
    const plugin = (...args: string[]) => runPlugin(product.cluster.kubeconfig, args);
    const codeOf = async (...args: string[]) => (await reportOf(product.cluster.kubeconfig, ...args)).firstBroken;

    it('finds nothing broken in a healthy installation and a healthy pod', async () => {
      const installation = await plugin('check');
      assert.equal(installation.code, 0, installation.stdout + installation.stderr);
      assert.match(installation.stdout, /injects a labelled pod, in \d+ ms as a dry run/);
      assert.doesNotMatch(installation.stdout, /\[broken\]|\[unknown\]/);
      const pod_ = await plugin('check', 'pod', 'both', '--try-token', '--resource', vault);
      assert.equal(pod_.code, 0, pod_.stdout + pod_.stderr);
      assert.match(pod_.stdout, new RegExp(`got a token for ${vault}: .*appid [0-9a-f-]{36}`));
      assert.doesNotMatch(pod_.stdout, /eyJ|\[broken\]|\[unknown\]/);
    });

    it('names the broker that is down', async () => {
      const scale = (replicas: number) =>
        product.kubectl(['scale', 'deployment/aad-pod-identity-broker', '-n', system, `--replicas=${replicas}`]);
      const untilCode = (what: string, expected: string | null, ...args: string[]) =>
        eventually(
          what,
          () => codeOf(...args),
          (code) => code === expected,
          60,
        );
      try {
        await scale(0);
        await untilCode('check says so', 'BrokerDown', 'check');
        await untilCode('check pod says so', 'BrokerDown', 'check', 'pod', 'both');
      } finally {
        await scale(2);
        await product.kubectl(['rollout', 'status', 'deployment/aad-pod-identity-broker', '-n', system, '--timeout=90s']);
      }
      await untilCode('the pod is well again', null, 'check', 'pod', 'both');
    });
  });

  it('gives a new pod a token while the broker is restarted', async () => {
    await product.kubectl(['rollout', 'restart', 'deployment/aad-pod-identity-broker', '-n', system]);
    await product.apply(pod('restarted', app('one')));
    await product.ready('pod/restarted');
    assert.equal(await product.appOf('restarted'), demo);
    await product.kubectl(['rollout', 'status', 'deployment/aad-pod-identity-broker', '-n', system, '--timeout=90s']);
    await product.kubectl(['delete', 'pod', 'restarted']);
  });

  it('attaches a new identity after the leader is killed', async () => {
    await product.kubectl(['delete', 'pod', 'both', 'chosen', 'sdk', 'sdk-variables']);
    await eventually('the second identity is detached', product.attached, (names) => !names.includes('second'));
    const lease = await product.json(['get', 'lease', 'aad-pod-identity-controller', '-n', system]);
    const holder = stringAt(lease, 'spec', 'holderIdentity') ?? '';
    const leader = (await podsOf('controller')).find((entry) => holder.startsWith(stringAt(entry, 'metadata', 'name') ?? '-'));
    const name = stringAt(leader, 'metadata', 'name') ?? '';
    const [pid] = processesInPod(stringAt(leader, 'metadata', 'uid') ?? '', '/app/controller.cjs');
    assert.ok(pid);
    process.kill(pid, 'SIGKILL');
    await product.kubectl(['delete', 'pod', name, '-n', system, '--grace-period=0', '--force']);
    await product.apply(pod('after', app('two')));
    await product.ready('pod/after');
    assert.equal(await product.appOf('after'), second);
  });

  it('keeps tokens over helm upgrade and rollback', async () => {
    const replicas = async () =>
      (await podsOf('webhook')).filter((entry) => at(entry, 'metadata', 'deletionTimestamp') === undefined).length;
    await product.helm('upgrade', '--set', 'controller.logLevel=debug', '--set', 'webhook.replicas=3');
    assert.equal(await replicas(), 3);
    assert.equal(await product.appOf('after', 'https://database.windows.net'), second);
    await scrutinise();
    const { code, stderr } = await product.cluster.helm(['rollback', 'webhook', '-n', system, '--wait'], { timeoutSeconds: 100 });
    assert.equal(code, 0, stderr);
    assert.equal(await replicas(), 2);
    assert.equal(await product.appOf('after', 'https://graph.microsoft.com'), second);
  });

  it('leaves Azure, the API server and pods in order by helm uninstall alone', async () => {
    const crds = async () => (await items('crd')).length;
    const before_ = await crds();
    const { code, stderr } = await product.cluster.helm(['uninstall', 'webhook', '-n', system, '--wait'], { timeoutSeconds: 300 });
    assert.equal(code, 0, stderr);
    const report = await product.kubectl(['logs', 'job/aad-pod-identity-uninstall', '-n', system]);
    assert.match(report, /^uninstalled: nothing is left to do in Azure or by hand$/m);
    assert.deepEqual(await product.attached(), ['kubelet']);
    assert.deepEqual(await items('azureassignedidentity', '-A'), []);
    assert.deepEqual(await items('lease', '-n', system), []);
    assert.equal(await crds(), before_);
    // A token that its proxy has. It would get no other one.
    assert.equal(await product.appOf('after'), second);
    await product.apply(pod('between', app('one')));
    assert.equal(at(await product.json(['get', 'pod', 'between']), 'spec', 'initContainers'), undefined);
    await product.kubectl(['delete', 'pod', 'between', '--wait=false']);

    await product.helm('install');
    await product.apply(pod('again', app('one')));
    await product.ready('pod/again');
    assert.equal(await product.appOf('again'), demo);
    assert.equal(await product.appOf('after', 'https://management.azure.com'), second);
    await product.kubectl(['delete', 'azureidentitybinding', '--all']);
    assert.deepEqual(await eventually('all is detached', product.attached, (names) => names.length === 1), ['kubelet']);
    const record = ['get', 'configmap', '-n', system, '-l', 'app.kubernetes.io/component=scope-record'];
    await eventually(
      'the record names none, as docs/uninstall.md says',
      () => product.kubectl([...record, '-o', 'jsonpath={.items[*].data.identities}']),
      (text) => text === '{}',
    );
  });

  it('empties the scale set by the commands of docs/federated-identities.md', async () => {
    const guide = readFileSync(path.resolve(import.meta.dirname, '../../docs/federated-identities.md'), 'utf8');
    const follow = (start: string): Promise<string> => {
      const line = guide.split('\n').find((text) => text.trim().startsWith(start));
      assert.ok(line, `the guide has: ${start}`);
      return product.shell(line);
    };
    const namespace = 'team-a';
    const tokenOf = async (name: string): Promise<unknown> => {
      const curl = ['curl', '-s', '-m', '60', '-H', 'Metadata: true', `${imds}${vault}`];
      const answer: unknown = JSON.parse(await product.kubectl(['exec', '-n', namespace, name, '-c', 'app', '--', ...curl]));
      return readJwt(stringAt(answer, 'access_token') ?? '')?.claims.appid ?? answer;
    };
    const untilAttached = (what: string, expected: string) => eventually(what, product.attached, (names) => names.join() === expected);

    await product.kubectl(['delete', 'azureidentitybinding', '--all']);
    await product.kubectl(['create', 'namespace', namespace]);
    const objects = [...identity('demo', 'one'), ...identity('second', 'two')];
    await product.kubectl(['apply', '-n', namespace, '-f', '-'], listOf(objects));
    await product.apply(pod('web', app('one'), namespace), pod('batch', app('two'), namespace));
    await untilAttached('both identities are attached', 'demo,kubelet,second');
    await product.ready('pod/web', 'pod/batch', '-n', namespace);
    assert.match(await follow('kubectl get --raw'), /"issuer":"https:\/\//);

    await follow('kubectl annotate azureidentity demo -n team-a aadpodidentity.k8s.io/assignment=federate');
    await untilAttached('one is attached', 'kubelet,second');
    assert.match(await follow('kubectl get azureassignedidentity -A'), /^web +Assigned +\S+\/userassignedidentities\/demo$/im);
    await follow('kubectl annotate azureidentity --all -n team-a');
    await untilAttached('none is attached', 'kubelet');
    assert.deepEqual([await tokenOf('web'), await tokenOf('batch')], [demo, second]);
    const { sections } = await reportOf(product.cluster.kubeconfig, 'check', 'pod', 'web', '-n', namespace);
    const statuses = sections.flatMap(({ findings }) => findings).map(({ status }) => status);
    assert.ok(
      statuses.every((status) => status === 'passed'),
      JSON.stringify(sections),
    );

    await product.helm('upgrade', '--set', 'assignment=federate', '--set', 'controller.federatedDetachDelay=0');
    await follow('kubectl annotate azureidentity demo -n team-a aadpodidentity.k8s.io/assignment=attach');
    const events = ['get', 'events', '-n', namespace, '-o', 'jsonpath={.items[*].reason}'];
    await eventually(
      'the floor counts',
      () => product.kubectl(events),
      (reasons) => reasons.includes('AssignmentIgnored'),
    );
    assert.deepEqual(await product.attached(), ['kubelet']);

    await product.kubectl(['delete', 'azureidentitybinding', '--all', '-n', namespace]);
    const records = ['get', 'configmap', '-n', system, '-l', 'app.kubernetes.io/component=federation-record', '-o', 'name'];
    await eventually(
      'no record is left, as the NOTES say',
      () => product.kubectl(records),
      (text) => text === '',
    );
  });

  // The last test: the policies of the release are enforced from here on.
  it('names the network policy that keeps a pod from the broker', async () => {
    await product.apply(...identity('demo', 'closed'), pod('closed', app('closed')));
    await product.ready('pod/closed');
    await product.apply({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'closed' },
      spec: { podSelector: { matchLabels: { aadpodidbinding: 'closed' } }, policyTypes: ['Egress'] },
    });
    const policed = policedCluster(product.cluster, log);
    await policed.enforce(() => policed.reaches('default', 'closed', `https://${azure.arm}/`));
    // A connection that is open stays open.
    const [pid] = processesInPod(await uidOf('closed'), 'proxy');
    assert.ok(pid);
    process.kill(pid, 'SIGKILL');
    await eventually(
      'check pod says so',
      async () => (await reportOf(product.cluster.kubeconfig, 'check', 'pod', 'closed')).firstBroken,
      (code) => code === 'BrokerBlocked',
    );
  });

  /** The logs and the memory of everything of ours that runs now. */
  async function scrutinise(): Promise<void> {
    // kubectl logs fails for a container that is removed meanwhile.
    const names = '{range .items[?(@.metadata.deletionTimestamp)]}{.metadata.name}{" "}{end}';
    await eventually(
      'no pod of ours is terminating',
      () => product.kubectl(['get', 'pods', '-n', system, '-o', `jsonpath=${names}`]),
      (terminating) => terminating === '',
      60,
    );
    const all = ['--tail=-1', '--prefix', '--max-log-requests=50'];
    const programs = await product.kubectl(['logs', '-n', system, '-l', 'app.kubernetes.io/instance=webhook', ...all]);
    const sidecars = await product.kubectl(['logs', '-l', `${injectedLabel} in (redirect, none)`, '-c', 'aad-pod-identity-proxy', ...all]);
    assert.match(programs + sidecars, /"msg":"token fetched"/);
    for (const secret of ['eyJ', controllerSignIn.clientSecret, 'PRIVATE KEY']) assert.ok(!(programs + sidecars).includes(secret), secret);
    for (const [component, most] of [
      ['controller', 256],
      ['broker', 192],
      ['webhook', 160],
    ] as const)
      for (const entry of (await podsOf(component)).filter(isRecord)) {
        const [pid] = processesInPod(stringAt(entry, 'metadata', 'uid') ?? '', `/app/${component}.cjs`);
        if (pid === undefined) continue;
        const resident = residentOf(pid);
        log(`${component}: ${resident.toFixed(0)} MiB resident`);
        assert.ok(resident < most, `${component}: ${resident} MiB`);
      }
  }
});
