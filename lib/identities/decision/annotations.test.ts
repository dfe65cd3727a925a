import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { reasons } from '../../../api/decisions.ts';
import {
  AnnotationError,
  parseInitAnnotations,
  parseNamespaceAnnotations,
  parsePodAnnotations,
  pickNamespaceAnnotations,
  podAnnotations,
  unknownAnnotations,
} from './annotations.ts';

const key = (name: string) => `aadpodidentity.k8s.io/${name}`;

const good: Record<Exclude<keyof typeof podAnnotations, 'proxyMetricsPort'>, string> = {
  inject: 'true',
  interception: 'none',
  defaultIdentity: 'my-identity.1',
  proxyCpuRequest: '20m',
  proxyCpuLimit: '1',
  proxyMemoryRequest: '32Mi',
  proxyMemoryLimit: '1Gi',
  proxyLogLevel: 'warn',
  initCpuRequest: '20m',
  initCpuLimit: '1',
  initMemoryRequest: '32Mi',
  initMemoryLimit: '1Gi',
};

for (const [name, value] of Object.entries(good) as [keyof typeof good, string][]) {
  const rule = podAnnotations[name];
  test(`accepts ${JSON.stringify(value)} for ${rule.key}`, () => {
    assert.deepEqual(parsePodAnnotations({ [rule.key]: value }), { [name]: value });
  });

  test(`refuses other values of ${rule.key}`, () => {
    for (const bad of ['', ' ', 'True', '-1', '_', 'a\nb', '../x', 'x'.repeat(300)])
      assert.throws(
        () => parsePodAnnotations({ [rule.key]: bad }),
        (error: unknown) => error instanceof AnnotationError && error.message.includes(rule.accepts) && !error.message.includes('\n'),
        bad,
      );
  });
}

test('accepts namespace/name for the default identity', () => {
  const rule = podAnnotations.defaultIdentity;
  assert.deepEqual(parsePodAnnotations({ [rule.key]: 'team-a/my.identity' }), { defaultIdentity: 'team-a/my.identity' });
  for (const bad of ['/name', 'team/', 'a/b/c', 'Team/name', 'te.am/name', `${'n'.repeat(64)}/name`])
    assert.throws(() => parsePodAnnotations({ [rule.key]: bad }), AnnotationError, bad);
});

test('reads the metrics port as a number', () => {
  const read = (text: string) => parsePodAnnotations({ [key('proxy-metrics-port')]: text }).proxyMetricsPort;
  for (const port of [0, 1024, 9090, 65_535]) assert.equal(read(String(port)), port);
  for (const bad of ['', '80', '1023', '2579', '65536', '9090.0', '-1', '0x400', ' 9090', 'http'])
    assert.throws(() => read(bad), /accepted is 0 for none, or a port from 1024 to 65535 other than 2579/, bad);
});

test('finds every annotation and every reason in docs/annotations.md', () => {
  const page = readFileSync(new URL('../../../docs/annotations.md', import.meta.url), 'utf8');
  for (const { key: name, about, accepts } of Object.values(podAnnotations))
    assert.ok(page.includes(`| \`${name}\` | ${accepts} | ${about} |`), name);
  for (const [reason, { text }] of Object.entries(reasons)) assert.ok(page.includes(`| \`${reason}\` | ${text} |`), reason);
});

test('refuses a request above its limit', () => {
  assert.throws(
    () => parsePodAnnotations({ [key('proxy-cpu-request')]: '1', [key('proxy-cpu-limit')]: '900m' }),
    /accepted is a quantity up to the limit 900m/,
  );
  assert.throws(
    () => parsePodAnnotations({ [key('proxy-memory-request')]: '1Gi', [key('proxy-memory-limit')]: '1000Mi' }),
    AnnotationError,
  );
  assert.throws(() => parsePodAnnotations({ [key('init-cpu-request')]: '2', [key('init-cpu-limit')]: '1' }), AnnotationError);
  parsePodAnnotations({ [key('proxy-cpu-request')]: '1', [key('proxy-cpu-limit')]: '1000m' });
});

test('takes container annotations from a namespace, and names it in errors', () => {
  const all = { [key('init-cpu-limit')]: '1', [key('proxy-log-level')]: 'warn', [key('inject')]: 'false', other: 'x' };
  const picked = pickNamespaceAnnotations(all);
  assert.deepEqual(picked, { [key('init-cpu-limit')]: '1', [key('proxy-log-level')]: 'warn' });
  assert.deepEqual(parseNamespaceAnnotations(picked, 'team'), { initCpuLimit: '1', proxyLogLevel: 'warn' });
  assert.throws(
    () => parseNamespaceAnnotations({ [key('init-cpu-limit')]: 'much' }, 'team'),
    /^AnnotationError: namespace team: annotation aadpodidentity.k8s.io\/init-cpu-limit is "much", accepted is a positive quantity/,
  );
  assert.throws(
    () => parseNamespaceAnnotations({ [key('proxy-cpu-request')]: '2', [key('proxy-cpu-limit')]: '1' }, 'team'),
    /^AnnotationError: namespace team: annotation .*proxy-cpu-request is "2", accepted is a quantity up to the limit 1$/,
  );
});

test('reads only what is about the init container for a pod without a proxy', () => {
  assert.deepEqual(parseInitAnnotations({ [key('init-cpu-limit')]: '1', [key('proxy-cpu-limit')]: 'much' }), { initCpuLimit: '1' });
});

test('finds unknown keys under our prefix and ignores all others', () => {
  assert.deepEqual(
    unknownAnnotations({ [key('status')]: '', [key('inject')]: '', [key('proxy-port')]: '', 'other/inject': '', [key('Behavior')]: '' }),
    [key('proxy-port'), key('Behavior')],
  );
});
