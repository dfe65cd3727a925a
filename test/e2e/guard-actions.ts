// Pods of guarded namespaces, ways to change them, and what each then gets from the metadata service.
import assert from 'node:assert/strict';
import { ports } from '../../api/names.ts';
import { stringAt } from '../../lib/kube/objects.ts';
import { readJwt } from '../azure/core/jwt.ts';
import { processesInPod } from '../cluster/procfs.ts';
import { mustRun } from '../cluster/run.ts';
import { identities } from '../demo/azure.ts';
import type { PodParts } from './fixtures.ts';
import { listOf, pod, podTemplate } from './fixtures.ts';
import type { Product } from './harness.ts';
import { eventually, imds, vault } from './harness.ts';

/** What a pod gets from the metadata service. The last one is a way to every identity of the node. */
export const none = 'no token';
export const own = 'its own token';
export const open = 'an answer of IMDS';

/** What the policies ask of containers beside a proxy. */
export const hardened = { securityContext: { allowPrivilegeEscalation: false, runAsUser: 1000 } };

// A service mesh whose CNI plugin wrote the rules: all TCP of other users than 1337 goes to the mesh's proxy. This one forwards nothing, so the
// connections to the broker pass it.
const meshRules = `*nat
:MESH - [0:0]
-A OUTPUT -p tcp -j MESH
-A MESH -m owner --uid-owner 1337 -j RETURN
-A MESH -d 127.0.0.1/32 -j RETURN
-A MESH -p tcp --dport ${ports.broker.api} -j RETURN
-A MESH -p tcp -j REDIRECT --to-ports 15001
COMMIT
`;
const meshServer = `$s = IO::Socket::INET->new(LocalPort => 15001, Listen => 5, ReuseAddr => 1) or die;
while ($c = $s->accept) { while (<$c>) { last if /^\\r/ } print $c "HTTP/1.0 200 OK\\r\\nServer: mesh\\r\\n\\r\\n"; close $c }`;

interface Asker {
  namespace?: string;
  container?: string;
  /** Words before the command, such as setpriv. */
  as?: readonly string[];
  query?: string;
}

export const exception = (name: string, namespace: string) => ({
  apiVersion: 'aadpodidentity.k8s.io/v1',
  kind: 'AzurePodIdentityException',
  metadata: { name, namespace },
  spec: { podLabels: { app: name } },
});

export type GuardActions = ReturnType<typeof guardActions>;

/** Each resolves with what a pod gets or, where something is refused, with the words of kubectl. */
export function guardActions(product: Product) {
  const image = product.cluster.appImage;
  const run = (args: string[], input?: string) =>
    product.cluster.kubectl(args, { timeoutSeconds: 90, ...(input === undefined ? {} : { input }) });
  const create = (...objects: unknown[]) => run(['create', '-f', '-'], listOf(objects));
  /** What kubectl says about something that must be refused. */
  const refusal = async (args: string[], input?: string): Promise<string> => {
    const { stdout, stderr, code } = await run(args, input);
    return code === 0 ? `accepted: ${stdout}` : stderr;
  };
  const ready = async (namespace: string, name: string) => {
    await product.kubectl(['wait', '--for=condition=Ready', `pod/${name}`, '-n', namespace, '--timeout=80s']);
  };

  /** What a container gets from the metadata service. */
  const ask = async (name: string, { namespace = 'team', container = 'app', as = [], query = vault }: Asker = {}): Promise<string> => {
    const curl = ['curl', '-s', '-m', '60', '-D', '-', '-H', 'Metadata: true', `${imds}${query}`];
    const { stdout, stderr, code } = await run(['exec', '-n', namespace, name, '-c', container, '--', ...as, ...curl]);
    // Refused by a reset.
    if (code === 7) return none;
    if (code !== 0) return `exec ended with ${code}: ${stderr}`;
    const [head = '', body = ''] = stdout.split('\r\n\r\n');
    if (!/^server: IMDS\/aad-pod-identity/im.test(head)) return /^server: mesh/im.test(head) ? 'an answer of the mesh' : open;
    const token = stringAt(JSON.parse(body), 'access_token');
    return token !== undefined && readJwt(token)?.claims.appid === identities.demo.clientId ? own : body;
  };
  /** What several users and containers of a pod get, each thing once. */
  const askAs = async (name: string, ...askers: Asker[]): Promise<string> => {
    const all = await Promise.all(askers.map((asker) => ask(name, asker)));
    return [...new Set(all)].join(', ');
  };

  const podIn = (namespace: string, name: string, selector?: string, parts?: PodParts) =>
    pod(name, podTemplate(image, selector, parts), namespace);
  /** Resolves with the words of a denial, or nothing once the pod is ready. */
  const start = async (namespace: string, name: string, selector?: string, parts?: PodParts): Promise<string | undefined> => {
    const { stderr, code } = await create(podIn(namespace, name, selector, parts));
    if (code !== 0) return stderr;
    await ready(namespace, name);
    return undefined;
  };
  const startAndAsk = async (namespace: string, name: string, selector?: string, parts?: PodParts): Promise<string> =>
    (await start(namespace, name, selector, parts)) ?? ask(name, { namespace });

  /** Starts a pod of a mesh, whose proxy is a container or a native sidecar, and asks from both containers. */
  async function meshed(name: string, kind: 'classic' | 'native', selector?: string): Promise<string> {
    const app = { name: 'app', image, command: ['sleep', 'infinity'], ...hardened };
    const proxy = {
      name: 'istio-proxy',
      image,
      command: ['perl', '-MIO::Socket::INET', '-e', meshServer],
      securityContext: { allowPrivilegeEscalation: false, runAsUser: 1337, runAsGroup: 1337 },
    };
    const spec = kind === 'classic' ? { containers: [app, proxy] } : { initContainers: [{ ...proxy, restartPolicy: 'Always' }] };
    const denied = await start('team', name, selector, { spec, app: hardened });
    if (denied !== undefined) return denied;
    const uid = stringAt(await product.json(['get', 'pod', '-n', 'team', name]), 'metadata', 'uid') ?? '';
    const [pid] = processesInPod(uid, 'perl');
    assert.ok(pid, 'the mesh proxy runs');
    const inside = ['--target', String(pid), '--net', '--mount', '--', '/usr/sbin/iptables-nft-restore', '--noflush'];
    await mustRun('nsenter', inside, { input: meshRules });
    // 192.0.2.0/24 belongs to nobody (RFC 5737), so only the mesh answers.
    assert.match(
      await product.kubectl(['exec', '-n', 'team', name, '-c', 'app', '--', 'curl', '-si', '-m', '9', 'http://192.0.2.1/']),
      /mesh/,
    );
    return askAs(name, {}, { container: 'istio-proxy' });
  }

  /** Adds a container as `kubectl debug` does by this profile, and asks from there. */
  async function debug(name: string, profile: string): Promise<string> {
    const container = `debug-${profile}`;
    const args = ['debug', `pod/${name}`, '-n', 'team', '-c', container, `--image=${image}`, `--profile=${profile}`, '--quiet'];
    const { stderr, code } = await run([...args, '--', 'sleep', 'infinity']);
    if (code !== 0) return stderr;
    return eventually(
      'the debug container runs',
      () => ask(name, { container }),
      (answer) => !answer.startsWith('exec ended'),
    );
  }

  async function job(): Promise<string> {
    const command = ['sh', '-c', `curl -s -m 60 -o /dev/null -H Metadata:true '${imds}${vault}'; echo $?`];
    const template = podTemplate(image, undefined, { app: { command }, spec: { restartPolicy: 'Never' } });
    const metadata = { name: 'job', namespace: 'team' };
    await product.apply({ apiVersion: 'batch/v1', kind: 'Job', metadata, spec: { backoffLimit: 0, template } });
    await product.kubectl(['wait', '--for=condition=Complete', 'job/job', '-n', 'team', '--timeout=80s']);
    const printed = await product.kubectl(['logs', 'job/job', '-n', 'team', '-c', 'app']);
    return printed.trim() === '7' ? none : printed;
  }

  /** An exception for a pod that has its proxy already. */
  async function exceptLater(): Promise<string> {
    const labels = { app: 'later' };
    const denied = await start('team', 'excepted-later', 'one', { labels, app: hardened });
    if (denied !== undefined) return denied;
    await product.apply(exception('later', 'team'));
    await eventually(
      'the exception counts',
      () => refusal(['create', '--dry-run=server', '-f', '-'], JSON.stringify(podIn('team', 'another', 'one', { labels, app: hardened }))),
      (said) => said.includes('AzurePodIdentityException later'),
    );
    return ask('excepted-later');
  }

  const labelling = (namespace: string, name: string, labels: Record<string, string | null>, ...args: string[]) =>
    refusal(['patch', 'pod', name, '-n', namespace, '--type=merge', '-p', JSON.stringify({ metadata: { labels } }), ...args]);

  return { run, refusal, ready, ask, askAs, podIn, start, startAndAsk, meshed, debug, job, exceptLater, labelling };
}
