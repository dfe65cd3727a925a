// The process from its start to its end: listening, the start gate, invalid settings, SIGTERM in both modes.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { version } from '../../../api/version.ts';
import { hasIpv6 } from '../../../common/testing/ipv6.ts';
import { rowOf } from './azure.ts';
import type { FakeBroker } from './fake-broker.ts';
import { startFakeBroker } from './fake-broker.ts';
import { runSidecar, startProxy, unreachableProxies } from './process.ts';

// Nothing here asks IMDS for anything.
const imds = 'http://127.0.0.1:1';
const tokenUrl = (url: string) => `${url}/metadata/identity/oauth2/token?resource=r`;
const headers = { Metadata: 'true' };

let broker: FakeBroker;
before(async () => {
  broker = await startFakeBroker();
});
after(() => broker.stop());

test('prints its version, its commands and their flags', async () => {
  assert.equal((await runSidecar(['--version'])).stdout.trim(), version);
  assert.match((await runSidecar(['--help'])).stdout, /init .*\n.*proxy .*\n.*host .*\n.*status .*\n.*try-token .*\n.*wait /);
  for (const command of ['init', 'proxy', 'host', 'status', 'try-token', 'wait']) {
    const { code, stdout } = await runSidecar([command, '--help']);
    assert.equal(code, 0);
    assert.match(stdout, /^ {2}--[a-z-]+\n {6}\S/m);
  }
});

test('exits with 2 for an invalid flag and with 1 for a failure, each with one line', async () => {
  const certificate = `--broker-ca=${broker.ca}`;
  const rest = [`--broker-url=${broker.url}`, '--broker-token-file=/none'];
  const busy = createServer((socket) => socket.on('error', () => {}).destroy());
  busy.listen(0, '127.0.0.1');
  await once(busy, 'listening');
  const taken = `127.0.0.1:${(busy.address() as AddressInfo).port}`;
  for (const [args, code, expected] of [
    [['proxy', '--foo'], 2, /unknown argument --foo/],
    [['serve'], 2, /unknown command "serve": accepted is init, proxy, host, status, try-token, wait/],
    [[], 2, /no command/],
    [['init', '--pod-ip=10.0.0.1', '--host-ip=10.0.0.1'], 1, /host's network namespace/],
    [['proxy', ...rest, '--broker-ca-file=/none'], 1, /--broker-ca-file \/none cannot be read/],
    [['proxy', ...rest, certificate, `--listen=${taken}`], 1, /cannot listen on/],
    [['wait', `--listen=${taken}`, '--timeout=1'], 1, /does not answer on .* after 1 s/],
  ] as const) {
    const result = await runSidecar(args);
    assert.equal(result.code, code, `${args.join(' ')}: ${result.stderr}`);
    assert.match(result.stderr, expected);
    assert.equal(result.stderr.trim().split('\n').length, 1);
  }
  busy.close();
});

test('listens and opens the start gate while the broker cannot be reached', async () => {
  const proxy = await startProxy({ imds, broker: { ...broker, address: '127.0.0.1:1', url: 'https://127.0.0.1:1' } });
  assert.equal((await runSidecar(['wait', `--listen=${new URL(proxy.url).host}`])).code, 0);
  assert.equal((await fetch(tokenUrl(proxy.url))).status, 400, 'probes of SDKs are answered');
  assert.equal(await proxy.stop(), 0);
});

test('serves, reaches the broker and opens the start gate past HTTP proxies', async () => {
  broker.set([rowOf('reader')]);
  const proxy = await startProxy({ imds, broker, env: unreachableProxies });
  await proxy.logged((line) => line.msg === 'identities of this pod');
  const gate = await runSidecar(['wait', `--listen=${new URL(proxy.url).host}`, '--timeout=10'], { env: unreachableProxies });
  assert.equal(gate.code, 0, gate.stderr);
  assert.equal(await proxy.stop(), 0);
});

test('reaches a broker at an IPv6 address', { skip: hasIpv6() ? false : 'there is no address ::1' }, async () => {
  const other = await startFakeBroker({ host: '::1' });
  other.set([rowOf('reader')]);
  const proxy = await startProxy({ imds, broker: other });
  await proxy.logged((line) => line.msg === 'identities of this pod');
  assert.match(other.address, /^\[::1\]:/);
  assert.equal(await proxy.stop(), 0);
  await other.stop();
});

test('refuses a broker with a certificate of another CA or another name', async () => {
  broker.set([rowOf('reader')]);
  const other = await startFakeBroker();
  const wrongCa = await startProxy({ imds, broker: { ...broker, ca: other.ca } });
  assert.match(String((await wrongCa.logged((line) => line.msg === 'broker not reached')).reason), /certificate|CERT|issuer|signature/i);
  const wrongName = await startProxy({ imds, broker: { ...broker, url: broker.url.replace('broker.', 'other.') } });
  assert.match(String((await wrongName.logged((line) => line.msg === 'broker not reached')).reason), /ALTNAME|altname|certificate|host/i);
  const right = await startProxy({ imds, broker });
  await right.logged((line) => line.msg === 'identities of this pod');
  for (const proxy of [wrongCa, wrongName, right]) assert.equal(await proxy.stop(), 0);
  await other.stop();
});

test('serves metrics and health on a listener of their own, if configured', async () => {
  broker.set([rowOf('reader')]);
  const plain = await startProxy({ imds, broker });
  const proxy = await startProxy({ imds, broker, flags: ['--metrics-listen=:0'] });
  await proxy.logged((line) => line.msg === 'identities of this pod');
  const [serving] = proxy.log;
  const monitoring = `http://127.0.0.1:${String(serving?.metricsPort)}`;
  await fetch(tokenUrl(proxy.url));
  const page = await fetch(`${monitoring}/metrics`);
  assert.match(page.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  const text = await page.text();
  assert.match(text, /_requests_total\{route="refusal",status="400"\} 1\n/);
  assert.match(text, /_broker_contact_age_seconds [\d.]+\n/);
  assert.equal((await fetch(`${monitoring}/healthz`)).status, 200);
  assert.equal((await fetch(tokenUrl(monitoring), { headers })).status, 404);
  for (const { url } of [plain, proxy]) for (const route of ['/metrics', '/healthz']) assert.equal((await fetch(url + route)).status, 404);
  assert.equal(plain.log[0]?.metricsPort, undefined);
  for (const each of [plain, proxy]) assert.equal(await each.stop(), 0);
});

test('serves applications where the port of its metrics is taken', async (t) => {
  const busy = createServer((socket) => socket.on('error', () => {}).destroy());
  busy.listen(0, '127.0.0.1');
  t.after(() => busy.close());
  await once(busy, 'listening');
  const taken = `127.0.0.1:${(busy.address() as AddressInfo).port}`;
  const proxy = await startProxy({ imds, broker, flags: [`--metrics-listen=${taken}`] });
  const { error } = await proxy.logged((line) => line.msg === 'metrics are not served');
  assert.match(String(error), new RegExp(`^cannot listen on ${taken}`));
  assert.equal((await runSidecar(['wait', `--listen=${new URL(proxy.url).host}`])).code, 0);
  assert.equal(await proxy.stop(), 0);
});

test('answers waiting requests and exits with 0 at SIGTERM in native mode', async () => {
  broker.set([rowOf('reader', { state: 'Created' })]);
  const proxy = await startProxy({ imds, broker });
  await proxy.logged((line) => line.msg === 'identities of this pod');
  const waiting = fetch(tokenUrl(proxy.url), { headers });
  // The response to this request shows that the one before has arrived.
  await fetch(tokenUrl(proxy.url));
  assert.equal(await proxy.stop(), 0);
  assert.equal((await waiting).status, 503);
});

test('serves on after SIGTERM in classic mode', async () => {
  const proxy = await startProxy({ imds, broker, flags: ['--mode=classic'] });
  proxy.child.kill('SIGTERM');
  for (let i = 0; i < 5; i += 1) assert.equal((await fetch(tokenUrl(proxy.url))).status, 400);
  proxy.child.kill('SIGINT');
  assert.equal(await proxy.stop(), 0);
});

test('logs no bound token', async () => {
  const proxy = await startProxy({ imds, broker, flags: ['--log-level=debug'] });
  await proxy.logged((line) => line.msg === 'identities of this pod');
  broker.fail({ status: 403, code: 'not_participating' });
  await proxy.logged((line) => String(line.code) === 'not_participating');
  await proxy.stop();
  assert.ok(broker.requests.every(({ token }) => token === 'bound-token'));
  assert.doesNotMatch(JSON.stringify(proxy.log), /bound-token/);
});
