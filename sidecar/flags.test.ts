// The command line: what is accepted, and that everything else is named in one line (design 8).
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describeFlags, UsageError } from './flags.ts';
import { parseAddress, proxyFlags, readInitSettings, readProxySettings, readWaitSettings } from './settings.ts';

const pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
const needed = ['--broker-url=https://broker.ns.svc:9443', `--broker-ca=${pem}`, '--broker-token-file=/t'];
const refuses = (read: () => unknown, expected: RegExp) =>
  assert.throws(read, (error) => error instanceof UsageError && expected.test(error.message) && !error.message.includes('\n'));

describe('flags', () => {
  it('takes --flag=value, --flag value and a bare boolean', () => {
    const settings = readProxySettings([...needed, '--request-deadline', '7', '--block-instance-metadata', '--log-level=debug']);
    assert.equal(settings.requestDeadlineMs, 7000);
    assert.equal(settings.blockInstanceMetadata, true);
    assert.equal(settings.logLevel, 'debug');
    assert.equal(readProxySettings([...needed, '--block-instance-metadata=false']).blockInstanceMetadata, false);
  });

  it('has the defaults of design 8', () => {
    const settings = readProxySettings(needed);
    assert.equal(settings.listen, '127.0.0.1:2579');
    assert.equal(settings.imdsUrl, 'http://169.254.169.254');
    assert.deepEqual([settings.requestDeadlineMs, settings.unknownIdentityMs, settings.identityTtlMs], [45_000, 5_000, 86_400_000]);
    assert.deepEqual(
      [settings.mode, settings.logLevel, settings.identityHeader, settings.metricsListen],
      ['native', 'info', undefined, undefined],
    );
    assert.deepEqual(settings.broker, { url: 'https://broker.ns.svc:9443', address: undefined, ca: { pem }, tokenFile: '/t' });
    assert.deepEqual(readWaitSettings([]), { listen: '127.0.0.1:2579', timeoutMs: 30_000 });
  });

  it('names a wrong flag or value and what is accepted, in one line', () => {
    refuses(() => readProxySettings([...needed, '--request-dedline=3']), /--request-dedline=3.*--request-deadline/);
    refuses(() => readProxySettings([...needed, 'serve']), /"serve" is not a flag/);
    refuses(() => readProxySettings([...needed, '--mode']), /--mode needs a value: native or classic/);
    refuses(() => readProxySettings([...needed, '--mode=both']), /--mode does not accept "both".*native or classic/);
    refuses(() => readProxySettings([...needed, '--log-level=\nx']), /--log-level/);
    refuses(() => readProxySettings([...needed, '--request-deadline=1.5']), /whole number of seconds from 1 to 200/);
    for (const flag of ['listen', 'metrics-listen']) refuses(() => readProxySettings([...needed, `--${flag}=2579`]), /host:port/);
    refuses(() => readProxySettings([...needed, '--imds-url=https://x']), /http URL without a path/);
    refuses(() => readProxySettings([...needed, '--mode=native', '--mode=native']), /given twice/);
    refuses(() => readProxySettings(needed.slice(1)), /--broker-url is required/);
    refuses(() => readProxySettings([...needed, '--broker-ca-file=/x']), /needed once/);
    refuses(() => readProxySettings([needed[0] ?? '', '--broker-ca=nothing', '--broker-token-file=/t']), /--broker-ca .*PEM/);
  });

  it('takes pod and host addresses of both families and refuses a variable that kubelet did not expand', () => {
    assert.equal(readInitSettings(['--pod-ip=10.0.0.7', '--host-ip=fd00::1']).hostIp, 'fd00::1');
    refuses(
      () => readInitSettings(['--pod-ip=$(AAD_POD_IDENTITY_POD_IP)', '--host-ip=10.0.0.1']),
      /--pod-ip does not accept .* an IP address/,
    );
    refuses(() => readInitSettings(['--pod-ip=10.0.0.300', '--host-ip=10.0.0.1']), /--pod-ip/);
    refuses(() => readInitSettings(['--pod-ip=10.0.0.3']), /--host-ip is required/);
    refuses(() => readInitSettings(['--pod-ip=1.2.3.4', '--host-ip=1.2.3.5', '--iptables=auto']), /nft or legacy/);
  });

  it('reads addresses, IPv6 in brackets', () => {
    assert.deepEqual(parseAddress('[::1]:80'), { hostname: '::1', port: 80 });
    assert.deepEqual(parseAddress('10.0.0.1:9443'), { hostname: '10.0.0.1', port: 9443 });
    for (const wrong of ['::1:80', '10.0.0.1', ':80', '10.0.0.1:99999', '10.0.0.1:8x', 'a/b:1'])
      assert.equal(parseAddress(wrong), undefined, wrong);
  });

  it('describes each flag on a line of its own', () => {
    const lines = describeFlags(Object.values(proxyFlags)).split('\n');
    assert.equal(lines.length, Object.keys(proxyFlags).length);
    assert.match(lines.join('\n'), /--request-deadline .*\(default 45\)/);
  });
});
