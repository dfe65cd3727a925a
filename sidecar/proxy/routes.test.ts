import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { passedPaths } from './imds-paths.ts';
import type { RouteSettings } from './routes.ts';
import { checkRequest, parseTarget } from './routes.ts';

const plain: RouteSettings = { isIdentityHeader: undefined, blockInstanceMetadata: false };
const metadata = { metadata: 'true' };

function routeOf(target: string, headers: Record<string, string> = metadata, settings = plain, method = 'GET') {
  const url = new URL(target.startsWith('/') ? `http://169.254.169.254${target}` : target);
  return checkRequest(parseTarget(url, settings), { method, headers: new Headers({ host: url.host, ...headers }) }, settings);
}
const statusOf = (...request: Parameters<typeof routeOf>) => {
  const route = routeOf(...request);
  return route.kind === 'error' ? route.status : route.kind;
};
const token = '/metadata/identity/oauth2/token';

test('serves the token endpoint as real clients spell it', () => {
  for (const path of [token, `${token}/`, `/${token}/`, '/METADATA/Identity/OAuth2/Token', '/metadata//identity/./oauth2/x/../token//']) {
    assert.equal(statusOf(`${path}?api-version=2018-02-01&resource=r`), 'token', path);
    assert.equal(statusOf(`${path}?resource=r`), 'token', `${path} without api-version`);
  }
});

test('reads parameters in any order and takes an empty selector for none', () => {
  assert.deepEqual(routeOf(`${token}?resource=https%3A%2F%2Fa%2Fb%3Fx%3D1%26client_id%3Devil&xms_cc=cp1&bypass_cache=True&client_id=`), {
    kind: 'token',
    protocol: 'imds',
    resource: 'https://a/b?x=1&client_id=evil',
    selector: undefined,
    xmsCc: 'cp1',
    bypass: true,
  });
  for (const [name, selector] of Object.entries({
    client_id: 'client_id',
    object_id: 'object_id',
    msi_res_id: 'msi_res_id',
    mi_res_id: 'msi_res_id',
    Client_ID: 'client_id',
    clientid: 'client_id',
    'msi-res-id': 'msi_res_id',
    principal_id: 'object_id',
    'Principal+Id': 'object_id',
    'object%5fId': 'object_id',
    resourceId: 'msi_res_id',
  })) {
    const route = routeOf(`${token}?${name}=x&resource=r`);
    assert.deepEqual(route.kind === 'token' ? route.selector : route, { name: selector, value: 'x' });
  }
});

test('refuses duplicate parameters, two selectors, and a missing or huge resource', () => {
  for (const query of [
    'resource=a&resource=a',
    'resource=a&Resource=b',
    'resource=a&client_id=x&object_id=y',
    'resource=a&msi_res_id=x&mi_res_id=x',
    'resource=a&client_id=x&client_id=x',
    'resource=a&client_id=x&clientid=',
    'resource=a&object_id=x&principal_id=x',
    'resource=a&x-y=1&xy=2',
    '',
    'resource=',
    'resource=%20',
    `resource=${'a'.repeat(5000)}`,
  ]) {
    assert.equal(statusOf(`${token}?${query}`), 400, query);
  }
});

test('lists the parameters of a request without a resource', () => {
  const messageOf = (query: string) => {
    const route = routeOf(`${token}?${query}`);
    return route.kind === 'error' ? route.message : '';
  };
  assert.match(
    messageOf('api-version=2018-02-01&amp;resource=r'),
    /resource is missing or empty\. The request has "api-version", "amp;resource"$/,
  );
  assert.match(messageOf(''), /The request has no parameters$/);
});

test('names the parameters that select an identity when two are given', () => {
  const route = routeOf(`${token}?resource=r&clientId=x&principal_id=y`);
  assert.ok(route.kind === 'error');
  assert.equal(
    route.message,
    'client_id and principal_id exclude each other: name the identity with one of client_id, object_id, principal_id, msi_res_id, mi_res_id, resource_id',
  );
});

test('checks the path before the method and the method before the headers', () => {
  assert.equal(
    statusOf('/metadata/identity/getplatformmetadata?cred-api-version=2.0', {}),
    404,
    'a 400 here would mean that IMDSv2 is there',
  );
  assert.equal(statusOf('/metadata/identity/issuecredential', {}, plain, 'POST'), 404);
  assert.equal(statusOf('/metadata/identity', {}), 404);
  assert.equal(statusOf(token, {}), 400, 'exactly 400 means that IMDSv1 is there');
  for (const method of ['POST', 'PUT', 'HEAD', 'OPTIONS', 'DELETE', 'TRACE']) assert.equal(statusOf(token, {}, plain, method), 405, method);
});

test('names the methods that a path has when it refuses another', () => {
  const allowed = (path: string, method: string) => {
    const route = routeOf(path, metadata, plain, method);
    return route.kind === 'error' ? [route.status, route.message, route.allow] : route.kind;
  };
  assert.deepEqual(allowed('/metadata/versions', 'POST'), [405, 'only GET is served here', ['GET']]);
  assert.deepEqual(allowed('/metadata/scheduledevents', 'PUT'), [405, 'only GET and POST are served here', ['GET', 'POST']]);
  assert.deepEqual(allowed('/acc/tdquote', 'GET'), [405, 'only POST is served here', ['POST']]);
});

test('requires Metadata: true, no X-Forwarded-For, and an address as Host', () => {
  const target = `${token}?resource=r`;
  assert.equal(statusOf(target, { metadata: 'True' }), 'token', "Microsoft's own samples spell it so");
  for (const value of ['', 'false', 'true, false', 'true, true', 'yes']) assert.equal(statusOf(target, { metadata: value }), 400, value);
  assert.equal(statusOf(target, { ...metadata, 'x-forwarded-for': '' }), 400);
  for (const host of ['127.0.0.1:2579', '169.254.169.254', '[::1]', 'localhost:2579'])
    assert.equal(statusOf(`http://${host}${target}`), 'token', host);
});

test('says that there is no Host, or that it is another one', () => {
  const messageOf = (host: string) => {
    const route = routeOf(`${token}?resource=r`, { ...metadata, host });
    return route.kind === 'error' ? route.message : '';
  };
  assert.match(messageOf(''), /^the request has no Host header/);
  assert.match(messageOf('evil.example'), /^the Host header is not accepted/);
});

test('takes an address in its usual form or localhost as Host, and nothing else', () => {
  const asked = (host: string) => statusOf(`${token}?resource=r`, { ...metadata, host });
  for (const host of ['169.254.169.254', '169.254.169.254:80', '127.0.0.1:2579', '[::1]', '[fe80::1]:2579', 'localhost', 'LocalHost:2579'])
    assert.equal(asked(host), 'token', host);
  for (const host of [
    '',
    'evil.example',
    'metadata.internal',
    '169.254.169.254.nip.io',
    '169.254.169.254, evil.example',
    '169.254.169.254, 169.254.169.254',
    '2852039166',
    '0xa9fea9fe',
    '0xa9.0xfe.0xa9.0xfe',
    '0251.0376.0251.0376',
    '169.254.43518',
    '169.254.169.254.',
    '256.0.0.1',
    'evil@169.254.169.254',
    '169.254.169.254#',
    '[::1',
  ])
    assert.equal(asked(host), 400, host);
});

test('passes documents of IMDS with their own parameters only', () => {
  assert.deepEqual(routeOf('/metadata/instance/compute/vmSize?api-version=2021-02-01&format=text&client_id=x'), {
    kind: 'pass',
    path: '/metadata/instance/compute/vmSize',
    query: { 'api-version': '2021-02-01', format: 'text' },
  });
  assert.deepEqual(routeOf('/metadata/attested/document/?nonce=1&api-version=v'), {
    kind: 'pass',
    path: '/metadata/attested/document',
    query: { 'api-version': 'v', nonce: '1' },
  });
  for (const path of ['identity/info', 'versions', 'loadbalancer', 'scheduledevents', 'instance'])
    assert.equal(statusOf(`/metadata/${path}`), 'pass', path);
  assert.equal(statusOf('/metadata/instance?format=a&Format=b'), 400);
  assert.deepEqual(routeOf('/metadata/instance?api-version=v&api_version=w'), {
    kind: 'pass',
    path: '/metadata/instance',
    query: { 'api-version': 'v' },
  });
});

test('passes THIM on with every parameter, in the case of its services', () => {
  const query = 'qeid=0a&encrypted_ppid=ff&cpusvn=01&pcesvn=0b00&pceid=0000&api-version=2021-07-22-preview';
  assert.deepEqual(routeOf(`/metadata/thim/sgx/certification/v4/pckcert?${query}`), {
    kind: 'pass',
    path: '/metadata/THIM/sgx/certification/v4/pckcert',
    query: Object.fromEntries(new URLSearchParams(query)),
  });
  assert.deepEqual(routeOf('/Metadata/THIM/amd/certification?tcbVersion=db16&platformId=a%26b'), {
    kind: 'pass',
    path: '/metadata/THIM/amd/certification',
    query: { tcbVersion: 'db16', platformId: 'a&b' },
  });
  assert.equal(statusOf('/metadata/THIM/amd/certification', {}), 400, 'the header is needed');
  assert.equal(statusOf('/metadata/THIM/x?fmspc=a&FMSPC=b'), 400);
  assert.equal(statusOf('/metadata/THIM/%2e%2e/identity/info'), 'pass');
  assert.equal(statusOf('/metadata/THIMBLE'), 404);
  assert.equal(statusOf('/metadata/THIM/a b'), 404);
});

test('has a route for approvals of events and for TD reports, by POST', () => {
  assert.deepEqual(routeOf('/metadata/ScheduledEvents?api-version=2020-07-01&x=y', metadata, plain, 'POST'), {
    kind: 'post',
    path: '/metadata/scheduledevents',
    query: { 'api-version': '2020-07-01' },
    body: 'event approval',
  });
  assert.equal(statusOf('/metadata/scheduledevents', {}, plain, 'POST'), 400, 'the header is needed');
  assert.deepEqual(routeOf('/acc/tdquote?x=y', {}, plain, 'POST'), { kind: 'post', path: '/acc/tdquote', query: {}, body: 'TD report' });
  assert.equal(statusOf('/acc/tdquote', { host: 'evil.example' }, plain, 'POST'), 400);
});

test('blocks instance metadata on request, and nothing else', () => {
  const blocked = { ...plain, blockInstanceMetadata: true };
  for (const path of ['/metadata/instance', '/Metadata/INSTANCE/compute', '/metadata//instance/'])
    assert.equal(statusOf(path, metadata, blocked), 403, path);
  for (const path of ['/metadata/versions', '/metadata/THIM/amd/certification', '/metadata/attested/document'])
    assert.equal(statusOf(path, metadata, blocked), 'pass', path);
});

test('answers 500 for the path that NMI has for processes of the node', () => {
  for (const path of ['/host/token', '/host/token/?resource=r', '/host/token/x']) assert.equal(statusOf(path, {}), 500, path);
  for (const path of ['/host', '/host/tokens', '/x/host/token']) assert.equal(statusOf(path, {}), 404, path);
});

test('answers 404 for other paths and 400 for encoded slashes', () => {
  for (const path of [
    '/',
    '/metadata',
    '/metadata/identity/oauth2',
    `${token}/x`,
    '/metadata/identity/oauth2/token;x',
    '/metadata/instance/a b',
    '/metadata/instance/%2561',
    '/machine',
    '/msi/token',
    '/favicon.ico',
  ]) {
    assert.equal(statusOf(path), 404, path);
  }
  for (const path of ['/metadata%2fidentity', `/metadata/instance/%5c..`, '/metadata/instance/..%2Fidentity'])
    assert.equal(statusOf(path), 400, path);
});

test('serves the App Service protocol to callers with the identity header', () => {
  const enabled: RouteSettings = { ...plain, isIdentityHeader: (sent) => sent === 'the-pod-uid' };
  const headers = { 'x-identity-header': 'the-pod-uid' };
  const route = routeOf('/msi/token?api-version=2019-08-01&resource=r&mi_res_id=x', headers, enabled);
  assert.ok(route.kind === 'token' && route.protocol === 'appservice' && route.selector?.name === 'msi_res_id');
  assert.equal(statusOf('/msi/token?resource=r', { 'x-identity-header': 'other' }, enabled), 401);
  assert.equal(statusOf('/msi/token?resource=r', metadata, enabled), 401);
  assert.equal(statusOf('/msi/token?resource=r', headers, enabled, 'POST'), 405);
  assert.equal(statusOf('/msi/token?resource=r', headers, plain), 404, 'off by default');
});

test('passes only known paths and parameters to IMDS, whatever the request', () => {
  const word = fc.constantFrom(
    'metadata',
    'identity',
    'instance',
    'THIM',
    'scheduledevents',
    'acc',
    'tdquote',
    'oauth2',
    'token',
    'info',
    'attested',
    'document',
    'versions',
    '..',
    '.',
    '%2e%2e',
    '%2E.',
    '%2f',
    '%5c',
    '\\',
    '',
    ';',
    '%00',
    '%25',
    '@',
    'http:',
    ':80',
    'é',
  );
  const cased = fc.tuple(word, fc.boolean()).map(([text, upper]) => (upper ? text.toUpperCase() : text));
  const segment = fc.oneof({ weight: 8, arbitrary: cased }, { weight: 1, arbitrary: fc.string({ maxLength: 6 }) });
  const path = fc.array(segment, { maxLength: 8 }).map((parts) => `/${parts.join('/')}`);
  const name = fc.constantFrom('api-version', 'resource', 'client_id', 'Client_id', 'format', 'nonce', 'msi_res_id', 'bypass_cache', 'x');
  const value = fc.oneof(fc.string({ maxLength: 12 }), fc.constantFrom('a&client_id=b', '#', '%26', '../..', 'r?x=y'));
  const query = fc.array(
    fc.tuple(name, value, fc.boolean()).map(([key, text, raw]) => `${key}=${raw ? text : encodeURIComponent(text.toWellFormed())}`),
    { maxLength: 4 },
  );
  const known = new Set(['api-version', 'format', 'nonce', 'extended']);
  fc.assert(
    fc.property(
      path,
      query,
      fc.constantFrom('GET', 'POST', 'get'),
      fc.option(fc.constantFrom('true', 'TRUE', 'no')),
      (target, pairs, method, header) => {
        const href = `http://169.254.169.254${target}?${pairs.join('&')}`;
        if (!URL.canParse(href)) return;
        const headers = new Headers(header === null ? {} : { metadata: header });
        headers.set('host', '169.254.169.254');
        const route = checkRequest(parseTarget(new URL(href), plain), { method, headers }, plain);
        if (route.kind === 'error' || route.kind === 'nonce' || route.kind === 'status') return;
        if (route.kind === 'token') {
          assert.equal(`${method} ${header?.toLowerCase()}`, 'GET true');
          return;
        }
        const passed = passedPaths.find((one) => one.method === method && route.path.startsWith(one.path));
        assert.equal(method, route.kind === 'pass' ? 'GET' : 'POST');
        assert.ok(header?.toLowerCase() === 'true' || passed?.withoutHeader === true);
        assert.match(
          route.path,
          /^(\/metadata\/((instance|THIM)(\/[A-Za-z0-9_.-]+)*|identity\/info|versions|attested\/document|loadbalancer|scheduledevents)|\/acc\/tdquote)$/,
        );
        const upstream = new URL(route.path, 'http://imds');
        assert.equal(upstream.pathname, route.path, 'the URL standard changes nothing of it');
        assert.ok(passed?.parameters === 'all' || Object.keys(route.query).every((key) => known.has(key)));
      },
    ),
    { numRuns: 3000 },
  );
});
