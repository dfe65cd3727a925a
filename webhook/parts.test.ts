// The small pure parts: quantities, annotations, resources, patch, native mode, literals.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import jsonpatch from 'jsonpatch';
import { reasons } from '../api/reasons.ts';
import { AnnotationError, parsePodAnnotations, podAnnotations, unknownAnnotations } from './annotations.ts';
import { literal } from './containers.ts';
import { container, pod } from './fixtures.ts';
import { modeOf } from './native.ts';
import { difference, escapeSegment } from './patch.ts';
import { parseQuantity } from './quantity.ts';
import { proxyAmounts, resourceStyleOf, resourcesFor } from './resources.ts';

const key = (name: string) => `aadpodidentity.k8s.io/${name}`;

test('quantities as Kubernetes reads them', () => {
  const cases: [unknown, number | undefined][] = [
    ['100m', 0.1],
    ['0.1', 0.1],
    ['.5', 0.5],
    ['1', 1],
    [2, 2],
    ['1k', 1000],
    ['1Ki', 1024],
    ['64Mi', 64 * 2 ** 20],
    ['1e3', 1000],
    ['1E-3', 0.001],
    ['+5', 5],
    ['', undefined],
    ['-1', undefined],
    ['1 Mi', undefined],
    ['1mi', undefined],
    ['Mi', undefined],
    ['1e', undefined],
    [null, undefined],
    [Number.NaN, undefined],
  ];
  for (const [text, value] of cases) assert.equal(parseQuantity(text), value, String(text));
});

test('every annotation takes its good values and refuses bad ones with what it accepts', () => {
  const good: Record<keyof typeof podAnnotations, string> = {
    inject: 'true',
    interception: 'none',
    defaultIdentity: 'my-identity.1',
    proxyCpuRequest: '20m',
    proxyCpuLimit: '1',
    proxyMemoryRequest: '32Mi',
    proxyMemoryLimit: '1Gi',
    proxyLogLevel: 'warn',
  };
  for (const [name, rule] of Object.entries(podAnnotations)) {
    const value = Object.entries(good).find(([other]) => other === name)?.[1];
    assert.deepEqual(parsePodAnnotations({ [rule.key]: value ?? '' }), { [name]: value });
    for (const bad of ['', ' ', 'True', '-1', '_', 'a\nb', '../x', 'x'.repeat(300)])
      assert.throws(
        () => parsePodAnnotations({ [rule.key]: bad }),
        (error: unknown) => error instanceof AnnotationError && error.message.includes(rule.accepts) && !error.message.includes('\n'),
        `${name} ${bad}`,
      );
  }
});

test('docs/annotations.md says of each annotation what the webhook accepts', () => {
  const page = readFileSync(new URL('../docs/annotations.md', import.meta.url), 'utf8');
  for (const { key: name, about, accepts } of Object.values(podAnnotations))
    assert.ok(page.includes(`| \`${name}\` | ${accepts} | ${about} |`), name);
  for (const [reason, { text }] of Object.entries(reasons)) assert.ok(page.includes(`| \`${reason}\` | ${text} |`), reason);
});

test('a request above its limit is refused', () => {
  assert.throws(
    () => parsePodAnnotations({ [key('proxy-cpu-request')]: '1', [key('proxy-cpu-limit')]: '900m' }),
    /accepted is a quantity up to the limit 900m/,
  );
  assert.throws(
    () => parsePodAnnotations({ [key('proxy-memory-request')]: '1Gi', [key('proxy-memory-limit')]: '1000Mi' }),
    AnnotationError,
  );
  parsePodAnnotations({ [key('proxy-cpu-request')]: '1', [key('proxy-cpu-limit')]: '1000m' });
});

test('keys under our prefix that mean nothing are found, others are none of our business', () => {
  assert.deepEqual(
    unknownAnnotations({ [key('status')]: '', [key('inject')]: '', [key('proxy-port')]: '', 'other/inject': '', [key('Behavior')]: '' }),
    [key('proxy-port'), key('Behavior')],
  );
});

test('what a pod asks for moves the other default out of its way', () => {
  const defaults = { cpuRequest: '10m', cpuLimit: '', memoryRequest: '16Mi', memoryLimit: '64Mi' };
  assert.deepEqual(proxyAmounts(defaults, { proxyMemoryRequest: '96Mi' }), { ...defaults, memoryRequest: '96Mi', memoryLimit: '96Mi' });
  assert.deepEqual(proxyAmounts(defaults, { proxyMemoryLimit: '8Mi' }), { ...defaults, memoryRequest: '8Mi', memoryLimit: '8Mi' });
  assert.deepEqual(proxyAmounts(defaults, { proxyCpuRequest: '1' }), { ...defaults, cpuRequest: '1' });
});

test('a guaranteed pod stays guaranteed, a pod with its own budget gets no numbers', () => {
  const full = { limits: { cpu: '1', memory: '1Gi' } };
  const withResources = (resources: object, init?: object) =>
    pod({
      spec: {
        containers: [container('a', { resources })],
        ...(init === undefined ? {} : { initContainers: [container('i', { resources: init })] }),
      },
    });
  assert.equal(resourceStyleOf(withResources(full)), 'guaranteed');
  assert.equal(resourceStyleOf(withResources({ ...full, requests: { cpu: '1000m' } })), 'guaranteed');
  assert.equal(resourceStyleOf(withResources({ ...full, requests: { cpu: '999m' } })), 'default');
  assert.equal(resourceStyleOf(withResources({ limits: { cpu: '1' } })), 'default');
  assert.equal(resourceStyleOf(withResources(full, {})), 'default', 'an init container counts');
  assert.equal(resourceStyleOf(pod({ spec: { containers: [] } })), 'default');
  const amounts = { cpuRequest: '10m', cpuLimit: '', memoryRequest: '16Mi', memoryLimit: '64Mi' };
  const guaranteed = resourcesFor('guaranteed', amounts, undefined);
  assert.deepEqual(guaranteed?.limits, guaranteed?.requests);
  assert.equal(resourcesFor('none', amounts, undefined), undefined);
});

test('native sidecars from Kubernetes 1.32 on', () => {
  const cases: [object, string][] = [
    [{ major: '1', minor: '31' }, 'classic'],
    [{ major: '1', minor: '32' }, 'native'],
    [{ major: '1', minor: '32+' }, 'native'],
    [{ major: '1', minor: '9' }, 'classic'],
    [{ major: '2', minor: '0' }, 'native'],
  ];
  for (const [version, mode] of cases) assert.equal(modeOf(version), mode, JSON.stringify(version));
  assert.throws(() => modeOf({ major: '', minor: '' }), /not numeric/);
});

test('pointer segments: ~ is escaped before /', () => {
  assert.equal(escapeSegment('a/b~c~1'), 'a~1b~0c~01');
});

test('a difference applied to the one gives the other, for any two JSON texts', () => {
  // The library sets prototypes where it copies such a key; the server refuses bodies with it.
  const value = fc.jsonValue({ maxDepth: 4 }).filter((one) => !JSON.stringify(one).includes('__proto__'));
  const objects = fc.dictionary(fc.constantFrom('a', 'b', 'a/b', '~'), value).map((one): unknown => JSON.parse(JSON.stringify(one)));
  fc.assert(
    fc.property(objects, objects, (before, after) => {
      assert.deepEqual(jsonpatch.apply_patch<unknown>(before, difference(before, after)), after);
    }),
    { numRuns: 2_000 },
  );
});

test("arguments come out of kubelet's expansion as they went in", () => {
  const expand = (text: string) =>
    text.replace(/\$(\$|\([A-Za-z_][A-Za-z0-9_]*\))?/g, (all, next: string | undefined) =>
      next === '$' ? '$' : next === undefined ? all : 'EXPANDED',
    );
  fc.assert(fc.property(fc.stringMatching(/^[$()A]{0,8}$/), (text) => assert.equal(expand(literal(text)), text)));
});
