// The broker with real bound tokens: kube-apiserver signs them, publishes the keys and knows the pods.
import assert from 'node:assert/strict';
import { Agent, request } from 'node:https';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import type { IdentityRow } from '../../../api/broker.ts';
import { brokerAudience } from '../../../api/names.ts';
import { BrokerError } from '../../../broker/error.ts';
import type { PodRows, RowSource } from '../../../broker/rows.ts';
import type { BrokerServer } from '../../../broker/server.ts';
import { startBrokerServer } from '../../../broker/server.ts';
import { noFederation } from '../../../broker/testing/harness.ts';
import { systemClock } from '../../../common/clock.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { connect } from '../../../lib/kube/client.ts';
import { KubeError } from '../../../lib/kube/errors.ts';
import { isRecord, metadataOf, stringAt } from '../../../lib/kube/objects.ts';
import { pods, resourcePath } from '../../../lib/kube/resources.ts';
import { silentLogger } from '../../../lib/log.ts';
import type { CheckedKeyPair } from '../../../lib/tls/key-pair.ts';
import type { TestAuthority } from '../../../lib/tls/testing/certificates.ts';
import { createTestAuthority, fakeServingCertificate } from '../../../lib/tls/testing/certificates.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { leaseControlPlane } from '../../harness/control-plane.ts';

const servername = 'broker.home.svc';
const row: IdentityRow = {
  name: 'id',
  namespace: 'default',
  binding: 'default/b',
  type: 0,
  source: 'imds',
  clientID: 'c',
  resourceID: '/r',
  state: 'Assigned',
};

describe('broker with real bound tokens', () => {
  let plane: ControlPlane;
  let client: KubeClient;
  let ca: TestAuthority;
  let keyPair: CheckedKeyPair;
  let broker: BrokerServer;
  let agent: Agent;
  let calls: string[];
  let refusing: string[];
  let ahead: number;
  let podCount = 0;
  const known = new Map<string, PodRows>();

  before(async () => {
    plane = await leaseControlPlane();
    client = connect({ kubeconfig: plane.kubeconfig, userAgent: 'test', qps: 1000 });
    ca = await createTestAuthority();
    keyPair = await ca.issue(servername);
  });
  after(async () => {
    await client?.close();
    await plane?.stop();
  });

  beforeEach(async () => {
    known.clear();
    calls = [];
    refusing = [];
    ahead = 0;
    const counting: KubeClient = {
      ...client,
      call(method, path, options) {
        calls.push(`${method} ${path}`);
        if (refusing.includes(path)) return Promise.reject(new KubeError(403, 'Forbidden', 'not allowed'));
        return client.call(method, path, options);
      },
    };
    const rows: RowSource = {
      synced: true,
      waitingFor: () => [],
      get: (podKey) => known.get(podKey),
      onChange: () => () => undefined,
      versions: () => ({}),
      whenReached: () => Promise.resolve(),
    };
    broker = await startBrokerServer({
      client: counting,
      log: silentLogger,
      listen: { host: '127.0.0.1', port: 0 },
      rows,
      certificate: fakeServingCertificate({ keyPair, caBundle: ca.certificate }),
      home: 'default',
      nodeEndpoint: { drivers: [], podOf: () => undefined },
      onReport: () => undefined,
      mintToken: () => Promise.reject(new BrokerError('token_failed', 'not in this test')),
      federation: noFederation,
      clock: { ...systemClock, wall: () => systemClock.wall() + ahead, now: () => systemClock.now() + ahead },
    });
    agent = new Agent({ ca: ca.certificate, servername });
  });
  afterEach(async () => {
    agent.destroy();
    await broker.stop();
  });

  const makePod = async (labels: Record<string, string> = { aadpodidbinding: 'x' }) => {
    podCount += 1;
    const podName = `app-${podCount}`;
    const body = { metadata: { name: podName, labels }, spec: { containers: [{ name: 'c', image: 'none' }] } };
    const { uid = '' } = metadataOf(await client.call('POST', resourcePath(pods, { namespace: 'default' }), { body }));
    return { name: podName, uid };
  };
  const tokenFor = async (pod: { name: string; uid: string } | undefined, audience = brokerAudience, seconds = 3600) => {
    const boundObjectRef = pod && { kind: 'Pod', apiVersion: 'v1', name: pod.name, uid: pod.uid };
    const answer = await client.call('POST', '/api/v1/namespaces/default/serviceaccounts/default/token', {
      body: { spec: { audiences: [audience], expirationSeconds: seconds, ...(boundObjectRef && { boundObjectRef }) } },
    });
    return stringAt(answer, 'status', 'token') ?? '';
  };
  const ask = (token: string) =>
    new Promise<{ status: number; code: string | undefined; identities: unknown }>((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}` };
      request({ host: '127.0.0.1', port: broker.port, agent, path: '/v1/identities', headers }, async (response) => {
        let text = '';
        for await (const chunk of response.setEncoding('utf8')) text += chunk;
        const body: unknown = JSON.parse(text);
        const identities = isRecord(body) ? body.identities : undefined;
        resolve({ status: response.statusCode ?? 0, code: stringAt(body, 'error', 'code'), identities });
      })
        .on('error', reject)
        .end();
    });
  const know = (pod: { name: string; uid: string }) =>
    known.set(`default/${pod.name}`, { uid: pod.uid, excepted: false, identities: [row] });
  const refused = async (token: string, status: number, code: string) =>
    assert.deepEqual(await ask(token), { status, code, identities: undefined });
  const remove = (podName: string) =>
    client.call('DELETE', resourcePath(pods, { namespace: 'default', name: podName }), { body: { gracePeriodSeconds: 0 } });

  it('serves the pod of the token, verified with the published keys alone', async () => {
    const pod = await makePod();
    know(pod);
    const token = await tokenFor(pod);
    assert.deepEqual(await ask(token), { status: 200, code: undefined, identities: [row] });
    assert.deepEqual(await ask(token), { status: 200, code: undefined, identities: [row] });
    assert.deepEqual(calls, ['GET /.well-known/openid-configuration', 'GET /openid/v1/jwks']);
  });

  it('reviews tokens where the keys cannot be read, with the same results', async () => {
    refusing = ['/openid/v1/jwks'];
    const pod = await makePod();
    know(pod);
    assert.deepEqual(await ask(await tokenFor(pod)), { status: 200, code: undefined, identities: [row] });
    await refused(await tokenFor(pod, 'other'), 401, 'unauthenticated');
    await refused(await tokenFor(undefined), 401, 'unauthenticated');
    assert.equal(calls.filter((call) => call.includes('tokenreviews')).length, 3);
  });

  it('refuses another audience and a token that is not bound to a pod', async () => {
    const pod = await makePod();
    know(pod);
    await refused(await tokenFor(pod, 'https://kubernetes.default.svc'), 401, 'unauthenticated');
    await refused(await tokenFor(undefined), 401, 'unauthenticated');
    await refused(plane.token, 401, 'unauthenticated');
  });

  it('refuses an expired token that it accepted before', async () => {
    const pod = await makePod();
    know(pod);
    const token = await tokenFor(pod, brokerAudience, 600);
    assert.equal((await ask(token)).status, 200);
    ahead = 599_000;
    assert.equal((await ask(token)).status, 200);
    ahead = 661_000;
    await refused(token, 401, 'unauthenticated');
  });

  it('refuses a token whose payload, algorithm or signature was changed', async () => {
    const [pod, other] = [await makePod(), await makePod()];
    know(pod);
    know(other);
    const [header = '', payload = '', signature = ''] = (await tokenFor(pod)).split('.');
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = Buffer.from(payload, 'base64url').toString().replaceAll(pod.name, other.name).replaceAll(pod.uid, other.uid);
    await refused(`${header}.${Buffer.from(claims).toString('base64url')}.${signature}`, 401, 'unauthenticated');
    await refused(`${encode({ alg: 'none' })}.${payload}.`, 401, 'unauthenticated');
    await refused(`${encode({ alg: 'none' })}.${payload}.${signature}`, 401, 'unauthenticated');
    await refused(`${header}.${payload}.${signature}${'A'.repeat(8192)}`, 401, 'unauthenticated');
  });

  it('answers pod_gone for a deleted pod, pod_mismatch when its name is taken', async () => {
    const pod = await makePod();
    const token = await tokenFor(pod);
    await remove(pod.name);
    await refused(token, 404, 'pod_gone');
    podCount -= 1;
    const heir = await makePod();
    assert.equal(heir.name, pod.name);
    know(heir);
    ahead = 11_000;
    await refused(token, 403, 'pod_mismatch');
    assert.equal((await ask(await tokenFor(heir))).status, 200);
  });

  it('answers not_participating without the label, not_ready before the caches see it', async () => {
    await refused(await tokenFor(await makePod({})), 403, 'not_participating');
    await refused(await tokenFor(await makePod()), 503, 'not_ready');
  });
});
