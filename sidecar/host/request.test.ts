import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HostRoute } from './request.ts';
import { parseHostRequest } from './request.ts';

const both = { podns: 'team', podname: 'app-0' };

function parse(target: string, headers: Record<string, string> = both, from: string | undefined = '127.0.0.1'): HostRoute {
  return parseHostRequest(new URL(target, 'http://localhost:2579'), new Headers(headers), from);
}
const errorOf = (route: HostRoute) => (route.kind === 'error' ? `${route.status} ${route.message}` : route.kind);

describe('the requests of the node endpoint', () => {
  it('are read as the Azure provider of the CSI driver sends them', () => {
    // As net/http of Go writes them: canonical names, and a resource that is not encoded.
    const headers = { 'User-Agent': 'Go-http-client/1.1', Podname: 'app-0', Podns: 'team', 'Accept-Encoding': 'gzip' };
    assert.deepEqual(parse('/host/token/?resource=https://vault.azure.net', headers), {
      kind: 'token',
      namespace: 'team',
      pod: 'app-0',
      resource: 'https://vault.azure.net',
      selector: undefined,
    });
  });

  it('have the paths of NMI: everything that starts with /host/token', () => {
    for (const path of ['/host/token', '/host/token/', '/host/token/x', '/host/tokens'])
      assert.equal(parse(`${path}?resource=r`).kind, 'token', path);
    for (const path of ['/', '/host', '/HOST/token', '/metadata/identity/oauth2/token'])
      assert.equal(errorOf(parse(`${path}?resource=r`)), '404 404 page not found', path);
    assert.equal(parse('/healthz', {}).kind, 'health');
  });

  it('are refused with the texts of NMI, in its order', () => {
    const noHeaders = "400 missing 'podname' and 'podns' from request header";
    for (const headers of [{}, { podns: 'team' }, { podname: 'app-0' }, { ...both, podname: '' }])
      assert.equal(errorOf(parse('/host/token', headers, '10.0.0.7')), noHeaders);
    assert.equal(errorOf(parse('/host/token', both, '10.0.0.7')), '500 request remote address is not from a host');
    assert.equal(errorOf(parse('/host/token')), '400 parameter resource cannot be empty');
    assert.equal(errorOf(parse('/host/token?resource=')), '400 parameter resource cannot be empty');
  });

  it('come from a loopback address, in any form', () => {
    for (const from of ['127.0.0.1', '127.8.0.1', '::1', '::ffff:127.0.0.1'])
      assert.equal(parse('/host/token?resource=r', both, from).kind, 'token', from);
    for (const from of [undefined, '10.127.0.1', '::ffff:10.0.0.1', '::2', 'fe80::1', '127.0.0.1.example'])
      assert.match(
        errorOf(parseHostRequest(new URL('http://localhost/host/token?resource=r'), new Headers(both), from)),
        /^500 /,
        String(from),
      );
  });

  it('have localhost or a loopback address as Host, never another name', () => {
    const parseAt = (origin: string) =>
      errorOf(parseHostRequest(new URL('/host/token?resource=r', origin), new Headers(both), '127.0.0.1'));
    for (const origin of ['http://localhost:2579', 'http://127.0.0.1:2579', 'http://[::1]:2579', 'http://localhost'])
      assert.equal(parseAt(origin), 'token', origin);
    for (const origin of ['http://evil.example:2579', 'http://localhost.evil.example', 'http://10.0.0.7:2579'])
      assert.match(parseAt(origin), /^400 the Host header is not accepted/, origin);
  });

  it('name an identity by any of its ids, and never by two', () => {
    const selectorOf = (query: string) => {
      const route = parse(`/host/token?resource=r&${query}`);
      return route.kind === 'token' ? route.selector : errorOf(route);
    };
    assert.deepEqual(selectorOf('client_id=c'), { name: 'client_id', value: 'c' });
    assert.deepEqual(selectorOf('mi_res_id=/r'), { name: 'msi_res_id', value: '/r' });
    assert.deepEqual(selectorOf('object_id=o'), { name: 'object_id', value: 'o' });
    assert.equal(selectorOf('client_id='), undefined);
    assert.match(String(selectorOf('client_id=c&msi_res_id=/r')), /^400 .*exclude each other/);
    assert.match(String(selectorOf('client_id=c&client_id=d')), /^400 .*more than once/);
  });
});
