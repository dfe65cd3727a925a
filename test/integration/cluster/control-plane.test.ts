// The API server that integration tests stand on does what they rely on.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { makeCertificates } from '../../cluster/certificates.ts';
import type { OwnControlPlane } from '../../cluster/control-plane.ts';
import { startControlPlane } from '../../cluster/control-plane.ts';
import { ask } from '../../cluster/ready.ts';
import { run } from '../../cluster/run.ts';

let plane: OwnControlPlane;
before(async () => {
  plane = await startControlPlane({ log: console.error });
});
after(() => plane?.stop());

const call = (target: string, body?: object, method = body === undefined ? 'GET' : 'POST') =>
  ask(`${plane.url}${target}`, { ca: plane.ca, token: plane.token, method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });

/** Numbers of live processes whose command line names a text. */
function processesNaming(text: string): string[] {
  return readdirSync('/proc').filter((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(text);
    } catch {
      return false;
    }
  });
}

test('serves kubectl with its kubeconfig', async () => {
  const { stdout, code, stderr } = await run(plane.kubectl, [
    '--kubeconfig',
    plane.kubeconfig,
    'get',
    'namespace',
    'default',
    '-o',
    'name',
  ]);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, 'namespace/default\n');
});

test('runs controllers: a deployment gets its pods', async () => {
  const containers = [{ name: 'app', image: 'none' }];
  const spec = {
    replicas: 1,
    selector: { matchLabels: { app: 'x' } },
    template: { metadata: { labels: { app: 'x' } }, spec: { containers } },
  };
  const watch = run(plane.kubectl, ['--kubeconfig', plane.kubeconfig, 'wait', '--for=create', 'pod', '-l', 'app=x', '--timeout=20s']);
  const made = await call('/apis/apps/v1/namespaces/default/deployments', { metadata: { name: 'x' }, spec });
  assert.equal(made.status, 201, made.body);
  assert.equal((await watch).code, 0);
});

test('issues and reviews service account tokens, and publishes their keys', async () => {
  const made = await call('/api/v1/namespaces/default/serviceaccounts/default/token', { spec: { audiences: ['broker'] } });
  assert.equal(made.status, 201, made.body);
  const { token }: { token: string } = JSON.parse(made.body).status;
  const reviewed = await call('/apis/authentication.k8s.io/v1/tokenreviews', { spec: { token, audiences: ['broker'] } });
  assert.equal(JSON.parse(reviewed.body).status.user.username, 'system:serviceaccount:default:default');
  const keys: { keys: { kid: string }[] } = JSON.parse((await call('/openid/v1/jwks')).body);
  const [header = ''] = token.split('.');
  assert.ok(keys.keys.some(({ kid }) => kid === JSON.parse(Buffer.from(header, 'base64url').toString()).kid));
});

test('calls an admission webhook on this machine by its URL', async () => {
  const certificates = await makeCertificates(['127.0.0.1'], new Date());
  let asked = '';
  const server = createServer({ cert: certificates.apiServer.certificate, key: certificates.apiServer.key }, (request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => {
      const review: { apiVersion: string; kind: string; request: { uid: string; object: { metadata: { name: string } } } } =
        JSON.parse(body);
      asked = review.request.object.metadata.name;
      const { apiVersion, kind } = review;
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({ apiVersion, kind, response: { uid: review.request.uid, allowed: false, status: { message: 'asked indeed' } } }),
      );
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port }: { port: number } = JSON.parse(JSON.stringify(server.address()));
  const webhook = {
    name: 'test.example.com',
    clientConfig: { url: `https://127.0.0.1:${port}/`, caBundle: Buffer.from(certificates.ca).toString('base64') },
    rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }],
    admissionReviewVersions: ['v1'],
    sideEffects: 'None',
    failurePolicy: 'Fail',
  };
  try {
    const made = await call('/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations', {
      metadata: { name: 'x' },
      webhooks: [webhook],
    });
    assert.equal(made.status, 201, made.body);
    // The API server's own watch of configurations takes a moment: create until the webhook is asked.
    let refused = '';
    for (let index = 0; refused === '' && index < 200; index++) {
      const answer = await call('/api/v1/namespaces/default/configmaps', { metadata: { name: `asked-${index}` } });
      if (answer.status !== 201) refused = answer.body;
    }
    assert.match(refused, /asked indeed/);
    assert.match(asked, /^asked-/);
  } finally {
    await call('/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/x', undefined, 'DELETE');
    server.closeAllConnections();
    server.close();
  }
});

test('answers 410 to an old resourceVersion after compaction and a restart', async () => {
  const version = async () => JSON.parse((await call('/api/v1/namespaces/default/configmaps')).body).metadata.resourceVersion as string;
  const old = await version();
  assert.equal((await call('/api/v1/namespaces/default/configmaps', { metadata: { name: 'later' } })).status, 201);
  await plane.compact();
  await plane.restartApiServer();
  const watch = await call(`/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=5&resourceVersion=${old}`);
  assert.match(watch.body, /"code":410/);
  assert.equal((await call('/api/v1/namespaces/default/configmaps/later')).status, 200, 'data survives the restart');
});

test('leaves no process and no file after a stop', async () => {
  const second = await startControlPlane();
  assert.ok(processesNaming(second.folder).length >= 3);
  await second.stop();
  assert.deepEqual(processesNaming(second.folder), []);
  assert.ok(!existsSync(second.folder));
});

test('ends with a killed test, whose files the next control plane removes', async () => {
  const file = path.resolve(import.meta.dirname, '../../cluster/control-plane.ts');
  const script = `const { startControlPlane } = await import(${JSON.stringify(file)});
    const plane = await startControlPlane(); console.log(plane.folder); process.stdin.resume();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = await once(child.stdout, 'data');
  const folder = String(line).trim();
  assert.ok(processesNaming(folder).length >= 3);
  child.kill('SIGKILL');
  await once(child, 'exit');
  const deadline = Date.now() + 10_000;
  while (processesNaming(folder).length > 0 && Date.now() < deadline) await new Promise(setImmediate);
  assert.deepEqual(processesNaming(folder), []);
  const next = await startControlPlane();
  await next.stop();
  assert.ok(!existsSync(folder));
});

test('has the objects of a state after it is restored, and its controllers go on', async () => {
  const configMaps = '/api/v1/namespaces/default/configmaps';
  const namesAt = async (target: string): Promise<string[]> => {
    const { items }: { items: { metadata: { name: string } }[] } = JSON.parse((await call(target)).body);
    return items.map(({ metadata }) => metadata.name);
  };
  const seen = () => Promise.all(['/api/v1/namespaces', '/api/v1/pods', '/apis/apps/v1/deployments', configMaps].map(namesAt));
  const createDeployment = async () => {
    const containers = [{ name: 'app', image: 'none' }];
    const spec = { selector: { matchLabels: { app: 'y' } }, template: { metadata: { labels: { app: 'y' } }, spec: { containers } } };
    const watch = run(plane.kubectl, ['--kubeconfig', plane.kubeconfig, 'wait', '--for=create', 'pod', '-l', 'app=y', '--timeout=20s']);
    assert.equal((await call('/apis/apps/v1/namespaces/default/deployments', { metadata: { name: 'y' }, spec })).status, 201);
    assert.equal((await watch).code, 0);
  };
  assert.equal((await call(configMaps, { metadata: { name: 'kept' } })).status, 201);
  const [state, before] = [await plane.readState(), await seen()];

  await createDeployment();
  assert.equal((await call('/api/v1/namespaces', { metadata: { name: 'team' } })).status, 201);
  assert.equal((await call(`${configMaps}/kept`, undefined, 'DELETE')).status, 200);
  await plane.restoreState(state);
  assert.deepEqual(await seen(), before);
  await createDeployment();
});
