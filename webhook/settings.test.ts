import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSettings } from '../lib/settings.ts';
import { settings } from './settings.ts';

const parse = (...flags: string[]) => parseSettings(settings, flags, {});

test('allows the variables of HTTP proxies and no image by default', () => {
  const { allowedEnv, sidecarAllowedRewrites } = parse();
  assert.deepEqual(sidecarAllowedRewrites, []);
  for (const name of ['HTTP_PROXY', 'https_proxy', 'ALL_PROXY', 'no_proxy']) assert.ok(allowedEnv.includes(name), name);
});

test('refuses to allow variables by which a container runs other code', () => {
  for (const name of [
    'LD_PRELOAD',
    'LD_LIBRARY_PATH',
    'PATH',
    'HOME',
    'XDG_CONFIG_HOME',
    'BUN_OPTIONS',
    'NODE_OPTIONS',
    'XTABLES_LIBDIR',
    'AAD_POD_IDENTITY_POD_IP',
    'A-B',
  ])
    assert.throws(() => parse(`--allowed-env=HTTP_PROXY,${name}`), { name: 'SettingsError', message: /--allowed-env/ });
});

test('refuses patterns of images that leave the registry open', () => {
  for (const pattern of ['*', '*/sidecar:1', 'm*.test/sidecar:1', 'sidecar:1', 'm.test/', 'm.test/a b'])
    assert.throws(
      () => parse(`--sidecar-allowed-rewrites=${pattern}`),
      { name: 'SettingsError', message: /--sidecar-allowed-rewrites/ },
      pattern,
    );
  const patterns = ['m.test:5000/a/*/sidecar:*', 'm.test/sidecar@sha256:*'];
  assert.deepEqual(parse(`--sidecar-allowed-rewrites=${patterns.join()}`).sidecarAllowedRewrites, patterns);
});
