// The endpoint over real TLS: good requests and bad ones. lib/tls has the tests of the server below it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { RequestOptions } from 'node:https';
import { Agent, request } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { afterEach, before, beforeEach, describe, it } from 'node:test';
import { connect } from 'node:tls';
import fc from 'fast-check';
import { Registry } from 'prom-client';
import { rawPod } from '../lib/identities/decision/testing/raw-pods.ts';
import { silentLogger } from '../lib/log.ts';
import type { CheckedKeyPair } from '../lib/tls/key-pair.ts';
import { tlsLimits } from '../lib/tls/limits.ts';
import type { TlsServer } from '../lib/tls/server.ts';
import type { TestAuthority } from '../lib/tls/testing/certificates.ts';
import { createTestAuthority, fakeServingCertificate } from '../lib/tls/testing/certificates.ts';
import { admit } from './injection/admit.ts';
import { createMetrics } from './metrics.ts';
import type { AdmissionServerOptions } from './server.ts';
import { NotReadyError, startAdmissionServer } from './server.ts';
import { admitInput } from './testing/fixtures.ts';

const host = 'webhook.system.svc';
const reviewOf = (object: unknown = rawPod(), more: object = {}) => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: {
    uid: 'u1',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    operation: 'CREATE',
    namespace: 'team',
    name: 'app',
    object,
    ...more,
  },
});
type PlainAnswer = { status: number; text: string; headers: Record<string, unknown> };

describe('the admission server', () => {
  let ca: TestAuthority;
  let keyPair: CheckedKeyPair;
  let registry: Registry;
  let server: TlsServer;
  let agent: Agent;
  let behave: AdmissionServerOptions['admit'];

  before(async () => {
    ca = await createTestAuthority();
    keyPair = await ca.issue(host);
  });
  beforeEach(async () => {
    behave = async (review) => admit({ ...admitInput(), pod: review.pod });
    agent = new Agent({ keepAlive: true, maxSockets: 8, ca: ca.certificate, servername: host });
    registry = new Registry();
    server = await startAdmissionServer({
      listen: { host: '127.0.0.1', port: 0 },
      log: silentLogger,
      metrics: createMetrics(registry, { notAfter: () => undefined, ready: () => true }),
      certificate: fakeServingCertificate({ keyPair }),
      limits: tlsLimits({ memory: 256 * 1024 * 1024, connectionShare: 0.08, bodyShare: 0.15 }),
      admit: (review, budget) => behave(review, budget),
    });
  });
  afterEach(async () => {
    agent.destroy();
    await server.stop();
  });

  const send = (body: string | Buffer, options: RequestOptions = {}) =>
    new Promise<PlainAnswer>((resolve, reject) => {
      const outgoing = request(
        {
          host: '127.0.0.1',
          port: server.port,
          path: '/mutate?timeout=5s',
          method: 'POST',
          agent,
          ...options,
          headers: { 'content-type': 'application/json', ...options.headers },
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => {
            text += chunk;
          });
          response.on('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }));
          response.on('error', reject);
        },
      );
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  const ask = (object?: unknown, more?: object) => send(JSON.stringify(reviewOf(object, more)));
  const responseOf = (answer: PlainAnswer) => (JSON.parse(answer.text) as { response: Record<string, unknown> }).response;

  it('answers with the uid of the request, a patch in base64 and audit annotations', async () => {
    const answer = await ask();
    assert.equal(answer.status, 200);
    const response = responseOf(answer);
    assert.equal(response.uid, 'u1');
    assert.equal(response.allowed, true);
    assert.equal(response.patchType, 'JSONPatch');
    const patch = JSON.parse(Buffer.from(String(response.patch), 'base64').toString()) as { path: string }[];
    assert.deepEqual(
      patch.map((operation) => operation.path),
      [
        '/metadata/labels/aadpodidentity.k8s.io~1injected',
        '/metadata/annotations',
        '/spec/volumes/-',
        '/spec/volumes/-',
        '/spec/initContainers',
      ],
    );
    assert.equal((response.auditAnnotations as Record<string, string>).decision, 'inject');
  });

  it('omits the patch where nothing changes, and denies with a message', async () => {
    const skipped = responseOf(await ask(rawPod({ spec: { hostNetwork: true } })));
    assert.equal('patch' in skipped || 'patchType' in skipped, false);
    assert.deepEqual(skipped.warnings, ['pods with hostNetwork are not injected: token requests go to IMDS as from the node']);
    const denied = responseOf(await ask(rawPod({ annotations: { 'aadpodidentity.k8s.io/inject': 'no' } })));
    assert.equal(denied.allowed, false);
    assert.match(JSON.stringify(denied.status), /accepted is true or false/);
  });

  const bad: [name: string, body: string | Buffer, status: number, says: RegExp][] = [
    ['no JSON', 'what', 400, /JSON/],
    ['an empty body', '', 400, /JSON/],
    ['half a JSON text', '{"kind":"Adm', 400, /JSON/],
    ['a list', '[]', 400, /not an AdmissionReview/],
    ['null', 'null', 400, /not an AdmissionReview/],
    ['another kind', JSON.stringify({ ...reviewOf(), kind: 'Pod' }), 400, /not an AdmissionReview/],
    [
      'another version',
      JSON.stringify({ ...reviewOf(), apiVersion: 'admission.k8s.io/v1beta1' }),
      400,
      /accepted is admission\.k8s\.io\/v1/,
    ],
    ['no request', JSON.stringify({ ...reviewOf(), request: undefined }), 400, /has no request/],
    ['no uid', JSON.stringify(reviewOf(rawPod(), { uid: '' })), 400, /request\.uid/],
    ['a uid of 129 characters', JSON.stringify(reviewOf(rawPod(), { uid: 'u'.repeat(129) })), 400, /request\.uid is longer than 128/],
    [
      'a namespace of 64 characters',
      JSON.stringify(reviewOf(rawPod(), { namespace: 'n'.repeat(64) })),
      400,
      /request\.namespace is longer than 63/,
    ],
    [
      'another resource',
      JSON.stringify(reviewOf(rawPod(), { kind: { group: 'apps', version: 'v1', kind: 'Deployment' } })),
      400,
      /accepted is v1 Pod/,
    ],
    ['another operation', JSON.stringify(reviewOf(rawPod(), { operation: 'UPDATE' })), 400, /accepted is CREATE/],
    ['a subresource', JSON.stringify(reviewOf(rawPod(), { subResource: 'ephemeralcontainers' })), 400, /subResource/],
    ['no namespace', JSON.stringify(reviewOf(rawPod(), { namespace: '' })), 400, /request\.namespace/],
    ['no object', JSON.stringify(reviewOf(null)), 400, /request\.object is not a Pod: it is not an object/],
    ['an object without spec', JSON.stringify(reviewOf({ metadata: {} })), 400, /spec is not an object/],
    [
      'containers that are no list',
      JSON.stringify(reviewOf({ metadata: {}, spec: { containers: {} } })),
      400,
      /spec\.containers is not a list of objects/,
    ],
    [
      'labels that are no texts',
      JSON.stringify(reviewOf({ metadata: { labels: { aadpodidbinding: 1 } }, spec: {} })),
      400,
      /metadata\.labels is not a map of strings/,
    ],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), 400, /not UTF-8/],
    ['a key __proto__', '{"kind":"AdmissionReview","__proto__":{"x":1}}', 400, /prototype/],
    ['a key constructor', '{"kind":"AdmissionReview","constructor":{"prototype":{"x":1}}}', 400, /prototype/],
    ['4.1 MB', JSON.stringify({ ...reviewOf(), padding: 'x'.repeat(4.1 * 1024 * 1024) }), 413, /too large/],
  ];
  for (const [name, body, status, says] of bad) {
    it(`refuses ${name} with ${status}, and goes on`, async () => {
      const answer = await send(body);
      assert.equal(answer.status, status, answer.text);
      assert.match(answer.text, says);
      assert.equal((await ask()).status, 200);
    });
  }

  it('tells a review of a guarded namespace by its path', async () => {
    const guarded: boolean[] = [];
    behave = async (review) => {
      guarded.push(review.guarded);
      return admit({ ...admitInput(), pod: review.pod });
    };
    await ask();
    await send(JSON.stringify(reviewOf()), { path: '/guard?timeout=5s' });
    assert.deepEqual(guarded, [false, true]);
  });

  it('refuses other paths, methods and content types', async () => {
    assert.equal((await send('{}', { path: '/' })).status, 404);
    assert.equal((await send('', { method: 'GET', path: '/mutate' })).status, 404);
    assert.equal((await send('{}', { headers: { 'content-type': 'text/plain' } })).status, 415);
  });

  it('admits odd pods: 500 annotations, deep nesting, duplicate keys, 3 MB', async () => {
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`a.b/k${index}`, 'v']));
    assert.equal(responseOf(await ask(rawPod({ annotations: many }))).allowed, true);
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const text = JSON.stringify(reviewOf(rawPod({ spec: { future: 'HERE' } }))).replace('"HERE"', deep);
    assert.equal(responseOf(await send(text)).allowed, true);
    const twice = JSON.stringify(reviewOf()).replace('"uid":"u1"', '"uid":"u0","uid":"u2"');
    assert.equal(responseOf(await send(twice)).uid, 'u2');
    assert.equal(responseOf(await ask(rawPod({ spec: { hostname: 'x'.repeat(3_000_000) } }))).allowed, true);
  });

  it('responds with a few kilobytes to pods full of reasons to complain', async () => {
    const unknown = Object.fromEntries(Array.from({ length: 8_000 }, (_, index) => [`aadpodidentity.k8s.io/k${index}`, 'v']));
    const warned = await ask(rawPod({ annotations: unknown }));
    const { warnings } = responseOf(warned);
    assert.deepEqual(Array.isArray(warnings) && [warnings.length, warnings.at(-1)], [11, '7990 further annotations are not known']);
    const securityContext = { runAsUser: 25790 };
    const denied = await ask(rawPod({ spec: { containers: [{ name: 'x'.repeat(3_000_000), image: 'app:1', securityContext }] } }));
    assert.equal(responseOf(denied).allowed, false);
    for (const { text } of [warned, denied]) assert.ok(text.length < 10_000, String(text.length));
  });

  it('serves reviews after any malformed request', async () => {
    const mutated = fc
      .record({
        at: fc.nat(),
        length: fc.nat({ max: 30 }),
        with: fc.oneof(fc.string(), fc.json(), fc.constantFrom('null', '{}', '[]', '"', '-1e999')),
      })
      .map((change) => {
        const text = JSON.stringify(reviewOf());
        const start = change.at % text.length;
        return text.slice(0, start) + change.with + text.slice(start + change.length);
      });
    const anything = fc.oneof(
      { weight: 4, arbitrary: mutated },
      { weight: 1, arbitrary: fc.json() },
      { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
    );
    await fc.assert(
      fc.asyncProperty(anything, async (body) => {
        const { status, text } = await send(body);
        assert.ok([200, 400].includes(status), `${status} ${text}`);
      }),
      { numRuns: 200 },
    );
    assert.equal((await ask()).status, 200);
  });

  it('answers while one pod sends the first half of 150 bodies of 4 MB', async () => {
    const half = Buffer.alloc(2 * 1024 * 1024, 'x');
    const flood = await Promise.all(
      Array.from({ length: 150 }, async () => {
        const tcp = connectTcp({ host: '127.0.0.1', port: server.port, localAddress: '127.0.0.66' });
        const socket = connect({ socket: tcp, ca: ca.certificate, servername: host });
        socket.on('error', () => undefined).resume();
        await Promise.race([once(socket, 'secureConnect'), once(socket, 'close')]);
        socket.write(`POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${2 * half.length}\r\n\r\n`);
        socket.write(half);
        return socket;
      }),
    );
    for (let count = 0; count < 20; count += 1) assert.equal((await ask()).status, 200);
    assert.equal(responseOf(await ask(rawPod({ spec: { hostname: 'x'.repeat(3_000_000) } }))).allowed, true);
    for (const socket of flood) socket.destroy();
  });

  it('closes the connection of a body that it does not read', async () => {
    const head = (type: string) => `POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ncontent-length: 1000000000\r\n\r\n`;
    for (const [request, status] of [
      [head('text/plain'), 415],
      [head('text/plain').replace('/mutate', '/other'), 404],
    ] as const) {
      const socket = connect({ host: '127.0.0.1', port: server.port, ca: ca.certificate, servername: host });
      socket.on('error', () => undefined);
      let text = '';
      socket.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      socket.write(`${request}the rest comes never`);
      await once(socket, 'close');
      assert.match(text, new RegExp(`^HTTP/1.1 ${status} [\\s\\S]*connection: close`, 'i'));
    }
  });

  it('refuses a body whose values would take more memory than there is', async () => {
    const answer = await send(`{"values":[${'{},'.repeat(1_000_000)}0]}`);
    assert.deepEqual([answer.status, answer.text], [413, 'the body has too many values\n']);
    assert.equal((await ask()).status, 200);
  });

  it('answers 503 while it cannot decide, and a bare 500 when it fails', async () => {
    behave = async () => Promise.reject(new NotReadyError('caches are not there'));
    assert.deepEqual([(await ask()).status, (await ask()).text], [503, 'caches are not there\n']);
    behave = async () => Promise.reject(new Error('secret words'));
    const failed = await ask();
    assert.deepEqual([failed.status, failed.text], [500, 'internal error\n']);
    const metrics = await registry.metrics();
    assert.match(metrics, /webhook_failures_total\{kind="internal"\} 1/);
    assert.match(metrics, /webhook_failures_total\{kind="not_ready"\} 2/);
  });

  it('passes on the timeout of the API server', async () => {
    const budgets: number[] = [];
    behave = async (review, budget) => {
      budgets.push(budget);
      return admit({ ...admitInput(), pod: review.pod });
    };
    for (const query of ['timeout=2s', 'timeout=250ms', 'timeout=1.5s', 'timeout=x', ''])
      await send(JSON.stringify(reviewOf()), { path: `/mutate?${query}` });
    assert.deepEqual(budgets, [2000, 250, 1500, 5000, 5000]);
  });

  it('counts decisions by reason', async () => {
    await ask();
    await ask(rawPod({ spec: { hostNetwork: true } }));
    const metrics = await registry.metrics();
    assert.match(metrics, /webhook_admissions_total\{decision="inject",reason="injected"\} 1/);
    assert.match(metrics, /webhook_admissions_total\{decision="skip",reason="host_network"\} 1/);
    assert.match(metrics, /webhook_admission_duration_seconds_count 2/);
  });
});
