// Twenty pods ask for tokens while their identity is switched from attach to federate and back. Broker and proxies are real, over TLS; the test does what
// the controller does, in its order. IMDS and Entra are functions.
import assert from 'node:assert/strict';
import { timingSafeEqual } from 'node:crypto';
import { before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, fetch } from 'undici';
import { createFederatedMinter } from '../../../broker/federation/minter.ts';
import {
  authority,
  fakeAssertions,
  fakeEntra,
  granted,
  guid,
  record,
  refused,
  resourceID,
} from '../../../broker/federation/testing/entra.ts';
import { createRowSource } from '../../../broker/rows.ts';
import { boundTo, signToken } from '../../../broker/testing/fake-api-server.ts';
import type { Fixture } from '../../../broker/testing/harness.ts';
import { createFixture, serverName, startHarness } from '../../../broker/testing/harness.ts';
import { createMinter } from '../../../broker/token-call.ts';
import { systemClock } from '../../../common/clock.ts';
import { identityOf } from '../../../lib/identities/identity.ts';
import type { Pod } from '../../../lib/identities/pod.ts';
import { assignment, binding, pod as podFixture } from '../../../lib/identities/testing/fixtures.ts';
import { fakeInformers } from '../../../lib/identities/testing/informers.ts';
import { silentLogger } from '../../../lib/log.ts';
import type { Fetch } from '../../../sidecar/http.ts';
import { createLog } from '../../../sidecar/log.ts';
import { startProxy } from '../../../sidecar/proxy/proxy.ts';
import { readProxySettings } from '../../../sidecar/settings.ts';
import { eventually } from '../../harness/wait.ts';

const podCount = 20;
/** 50 requests a second in all. */
const everyMs = 400;
const scopes = ['a', 'b'].map((name) => `/subscriptions/s/resourceGroups/n/providers/Microsoft.Compute/virtualMachineScaleSets/${name}`);

let fixture: Fixture;
before(async () => {
  fixture = await createFixture();
});

/** What the controller writes, and what Azure has. */
function createCluster() {
  const informers = fakeInformers();
  const records = informers.federationRecords;
  /** Scale sets that have the identity. */
  const attached = new Set<string>(scopes);
  const bound = binding('team/b', 'i');
  const pods = Array.from({ length: podCount }, (_, n): Pod & { scope: string } => {
    const name = `app-${n}`;
    const of = { namespace: 'team', name, key: `team/${name}`, uid: `uid-${n}` };
    return { ...podFixture(of), scope: scopes[n % scopes.length] ?? '' };
  });
  const identity = (mode: 'attach' | 'federate') => {
    const annotations = { 'aadpodidentity.k8s.io/assignment': mode };
    const made = identityOf({ metadata: { namespace: 'team', name: 'i', annotations }, spec: { type: 0, resourceID, clientID: guid } });
    assert.ok(made);
    return made;
  };
  informers.bindings.put('team/b', bound);
  for (const pod of pods) informers.pods.put(pod.key, pod);
  return {
    informers,
    records,
    attached,
    pods,
    annotate: (mode: 'attach' | 'federate') => informers.identities.put('team/i', identity(mode)),
    /** The AzureAssignedIdentity of a pod is Assigned on that scope. */
    assign(pod: Pod, scope: string) {
      const written = { scope, 'client-id': guid, 'object-id': 'object', 'pod-uid': pod.uid, 'assigned-at': '2025-01-01T00:00:00Z' };
      const annotations = Object.fromEntries(Object.entries(written).map(([name, value]) => [`aadpodidentity.k8s.io/${name}`, value]));
      const made = assignment(pod, identity('attach'), bound);
      const key = `team/${pod.name}-i`;
      informers.assignments.put(key, { ...made, key, metadata: { ...made.metadata, annotations } });
    },
  };
}

type Cluster = ReturnType<typeof createCluster>;

async function startPod(pod: Cluster['pods'][number], { attached }: Cluster, broker: { port: number }) {
  const agents = new Map<string, Agent>();
  const agentFor = ({ ca, serverName: servername }: { ca: string; serverName: string }) => {
    const agent = agents.get(ca) ?? new Agent({ connect: { ca, servername } });
    agents.set(ca, agent);
    return agent;
  };
  const askImds = async (): Promise<Response> => {
    await delay(20);
    const headers = { server: 'IMDS/150', 'content-type': 'application/json' };
    if (!attached.has(pod.scope))
      return new Response(JSON.stringify({ error: 'invalid_request', error_description: 'Identity not found' }), { status: 400, headers });
    const token = {
      access_token: 'of-imds',
      client_id: guid,
      expires_in: '86400',
      expires_on: String(Math.floor(Date.now() / 1000) + 86_400),
    };
    return new Response(JSON.stringify({ ...token, resource: 'r', token_type: 'Bearer' }), { headers });
  };
  const send: Fetch = async (url, { tls, ...options }) => {
    if (tls === undefined) return askImds();
    // The types of undici's Response and of the global one differ in what nobody uses.
    return (await fetch(url, { ...options, dispatcher: agentFor(tls) })) as unknown as Response;
  };
  const token = await signToken(fixture.tokens, Date.now(), { kubernetes: boundTo(pod) });
  const settings = readProxySettings([
    `--broker-url=https://${serverName}:9443`,
    `--broker-address=127.0.0.1:${broker.port}`,
    `--broker-ca=${fixture.ca.certificate}`,
    '--broker-token-file=/none',
  ]);
  const proxy = startProxy(settings, {
    fetch: send,
    clock: systemClock,
    random: Math.random,
    timingSafeEqual,
    log: createLog({ level: 'error', format: 'json', now: Date.now, write: () => undefined }),
    ca: fixture.ca.certificate,
    readToken: async () => token,
  });
  return {
    async request(resource: string): Promise<{ status: number; token: string; text: string }> {
      const response = await proxy.handle(
        {
          method: 'GET',
          url: `http://169.254.169.254/metadata/identity/oauth2/token?resource=${resource}`,
          headers: new Headers({ host: '169.254.169.254', metadata: 'true' }),
          signal: new AbortController().signal,
          text: async () => '',
        },
        () => undefined,
      );
      const text = await response.text();
      const body = JSON.parse(text) as { access_token?: string };
      return { status: response.status, token: body.access_token ?? '', text };
    },
    async stop() {
      await proxy.close();
      await Promise.all([...agents.values()].map((agent) => agent.destroy()));
    },
  };
}

test('an identity is switched to federate and back, and no request fails', async (t) => {
  const cluster = createCluster();
  const { informers, records, attached, pods, annotate, assign } = cluster;
  const entra = fakeEntra();
  entra.state.fallback = granted('of-entra');
  const policies = { isAllowed: () => true, isAllowedAsClaimed: () => false };
  const harness = await startHarness(fixture, {
    rows: createRowSource(informers, {
      managed: false,
      runtimeExceptions: 'allow',
      modes: { assignment: 'attach', assignmentOverrides: [] },
      ...policies,
    }),
    mintToken: createMinter({
      mintForPrincipal: () => Promise.reject(new Error('there is none')),
      mintFederated: createFederatedMinter({
        log: silentLogger,
        events: { record: () => undefined },
        identityOf: (key) => informers.identities.get(key),
        rules: { authority, managed: false, records: informers.federation, ...policies },
        assertions: fakeAssertions(),
        network: entra.network,
        clock: systemClock,
        random: Math.random,
        metrics: { countExchange: () => undefined, countToken: () => undefined },
        onUnknown: () => undefined,
      }),
    }),
  });
  t.after(() => harness.stop());
  annotate('attach');
  for (const pod of pods) assign(pod, pod.scope);

  const ending = new AbortController();
  const failures: string[] = [];
  const sources = new Map<string, string>();
  const proxies = await Promise.all(pods.map((pod) => startPod(pod, cluster, harness.broker)));
  const load = proxies.map(async (proxy, n) => {
    const { key } = pods[n] ?? { key: '' };
    await delay((everyMs / podCount) * n);
    for (let count = 0; !ending.signal.aborted; count += 1) {
      const isNew = count % 2 === 1;
      const { status, token, text } = await proxy.request(
        isNew ? `https://${key.replace('/', '-')}-${count}.example` : 'https://same.example',
      );
      if (status !== 200) failures.push(`${key}: ${status} ${text}`);
      if (isNew) sources.set(key, token);
      await delay(everyMs);
    }
  });
  const allFrom = (token: string) => () => failures.length > 0 || pods.every(({ key }) => sources.get(key) === token);
  const recordKey = 'aad/record';
  const credential = { name: 'c', owned: true, createdAt: new Date().toISOString() };

  await eventually(allFrom('of-imds'), 'all pods have tokens of IMDS');

  annotate('federate');
  records.put(recordKey, record({ credential, provenAt: undefined }));
  await delay(everyMs);
  // Entra's replicas learn of the credential one by one, also after the proof.
  entra.state.replies = Array.from({ length: 10 }, () => refused(700213));
  records.put(recordKey, record({ credential, provenAt: new Date().toISOString() }));
  for (const pod of pods) assign(pod, resourceID);
  await eventually(allFrom('of-entra'), 'all pods have tokens of Entra');
  attached.clear();
  sources.clear();
  await eventually(allFrom('of-entra'), 'nothing is attached');

  annotate('attach');
  for (const scope of scopes) {
    await delay(everyMs);
    attached.add(scope);
    for (const pod of pods.filter((one) => one.scope === scope)) assign(pod, scope);
    if (scope !== scopes.at(-1)) {
      const moved = () => pods.filter((pod) => pod.scope === scope).every(({ key }) => sources.get(key) === 'of-imds');
      await eventually(() => failures.length > 0 || moved(), 'the pods of one scale set have moved');
    }
  }
  await eventually(allFrom('of-imds'), 'all pods have tokens of IMDS again');
  records.remove(recordKey);
  sources.clear();
  await eventually(allFrom('of-imds'), 'no record is left');

  ending.abort();
  await Promise.all(load);
  await Promise.all(proxies.map((proxy) => proxy.stop()));
  assert.deepEqual(failures, []);
  assert.deepEqual(harness.reports, []);
});
