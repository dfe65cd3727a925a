import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readInitSettings, readProxySettings, readWaitSettings } from './settings.ts';

const pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
const url = '--broker-url=https://broker.ns.svc:9443';
const ca = `--broker-ca=${pem}`;
const tokenFile = '--broker-token-file=/t';
const required = [url, ca, tokenFile];
const refuses = (read: () => unknown, message: RegExp) => assert.throws(read, { name: 'SettingsError', message });

test('the proxy has the documented defaults', () => {
  assert.deepEqual(readProxySettings(required), {
    listen: '127.0.0.1:2579',
    metricsListen: undefined,
    imdsUrl: 'http://169.254.169.254',
    broker: { url: 'https://broker.ns.svc:9443', address: undefined, ca: { pem }, tokenFile: '/t' },
    requestDeadlineMs: 45_000,
    unknownIdentityMs: 5_000,
    identityTtlMs: 86_400_000,
    identityHeader: undefined,
    blockInstanceMetadata: false,
    allowEventApproval: false,
    mode: 'native',
    logLevel: 'info',
    logFormat: 'json',
  });
});

test('init and wait have the documented defaults', () => {
  assert.deepEqual(readInitSettings(['--pod-ip=10.0.0.7', '--host-ip=10.0.0.1']), {
    podIp: '10.0.0.7',
    hostIp: '10.0.0.1',
    denyImds: false,
    blockWireServer: false,
    iptables: 'nft',
    logFormat: 'json',
  });
  assert.deepEqual(readWaitSettings([]), { address: '127.0.0.1:2579', timeoutMs: 30_000 });
});

test('the proxy needs the URL, the token file and the CA of the broker', () => {
  refuses(() => readProxySettings([ca, tokenFile]), /^--broker-url is missing: accepted is an https URL without a path$/);
  refuses(() => readProxySettings([url, ca]), /^--broker-token-file is missing: accepted is a file$/);
  refuses(() => readProxySettings([url, tokenFile]), /^the CA of the broker is missing: accepted is either --broker-ca/);
  refuses(() => readProxySettings([...required, '--broker-ca-file=/x']), /^the CA of the broker is given twice: accepted is either/);
  refuses(() => readProxySettings([url, '--broker-ca=nothing', tokenFile]), /^--broker-ca is 'nothing': accepted is PEM certificates$/);
});

test('the proxy takes addresses with a host, and URLs without a path', () => {
  assert.equal(readProxySettings([...required, '--listen=[::1]:80']).listen, '[::1]:80');
  for (const flag of ['listen', 'broker-address'])
    for (const wrong of ['2579', ':2579', '::1:80'])
      refuses(() => readProxySettings([...required, `--${flag}=${wrong}`]), /^--[a-z-]+ is '.*': accepted is host:port$/);
  for (const wrong of ['https://x', 'http://x/y', 'http://x?y', 'http://u@x', 'x'])
    refuses(() => readProxySettings([...required, `--imds-url=${wrong}`]), /accepted is an http URL without a path$/);
});

test('the proxy takes a port alone for its metrics', () => {
  for (const address of [':9402', '127.0.0.1:0', '[::1]:9402'])
    assert.equal(readProxySettings([...required, `--metrics-listen=${address}`]).metricsListen, address);
  for (const wrong of ['9402', '::1:80', ''])
    refuses(() => readProxySettings([...required, `--metrics-listen=${wrong}`]), /accepted is host:port or :port$/);
});

test('the proxy takes whole seconds within bounds', () => {
  assert.equal(readProxySettings([...required, '--request-deadline', '7']).requestDeadlineMs, 7000);
  for (const wrong of ['1.5', '0', '201']) {
    refuses(() => readProxySettings([...required, `--request-deadline=${wrong}`]), /accepted is a whole number of seconds from 1 to 200$/);
  }
});

test('the proxy refuses an empty identity header, which every caller could send', () => {
  assert.equal(readProxySettings([...required, '--identity-header=uid']).identityHeader, 'uid');
  refuses(() => readProxySettings([...required, '--identity-header=']), /^--identity-header is '': accepted is text$/);
});

test('init takes IPv4 and IPv6 addresses, and no variable that kubelet left as it is', () => {
  assert.equal(readInitSettings(['--pod-ip=10.0.0.7', '--host-ip=fd00::1']).hostIp, 'fd00::1');
  for (const wrong of ['$(AAD_POD_IDENTITY_POD_IP)', '10.0.0.300', '10.0.0', 'fd00::g', ''])
    refuses(() => readInitSettings([`--pod-ip=${wrong}`, '--host-ip=10.0.0.1']), /^--pod-ip is '.*': accepted is an IP address/);
  refuses(() => readInitSettings(['--pod-ip=10.0.0.3']), /^--host-ip is missing/);
});
