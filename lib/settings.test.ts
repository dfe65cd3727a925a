import assert from 'node:assert/strict';
import { test } from 'node:test';
import { boolean, choice, flagOf, helpOf, number, parseSettings, text, variableOf } from './settings.ts';

const table = {
  armEndpoint: text({ description: 'd', default: '', form: 'https URL', pattern: /^https:/ }),
  logLevel: choice(['debug', 'info'], { description: 'd', default: 'info' }),
  forceNamespaced: boolean({ description: 'd', default: false }),
  identityDetachDelay: number({ description: 'd', unit: 'seconds', default: 300, max: 3600 }),
};

test('spells a setting as a flag and as an environment variable', () => {
  assert.equal(flagOf('armEndpoint'), '--arm-endpoint');
  assert.equal(variableOf('armEndpoint'), 'ARM_ENDPOINT');
});

test('takes a flag over the environment and the environment over the default', () => {
  const env = { LOG_LEVEL: 'debug', IDENTITY_DETACH_DELAY: '5' };
  const values = parseSettings(table, ['--identity-detach-delay=7', '--arm-endpoint', 'https://arm'], env);
  assert.deepEqual(values, { armEndpoint: 'https://arm', logLevel: 'debug', forceNamespaced: false, identityDetachDelay: 7 });
});

test('takes an empty environment variable for an absent one', () => {
  assert.equal(parseSettings(table, [], { LOG_LEVEL: '', FORCE_NAMESPACED: '' }).logLevel, 'info');
});

for (const [argv, env, message] of [
  [['--arm-endpont=x'], {}, /^unknown argument --arm-endpont/],
  [['--identity-detach-delay=3601'], { IDENTITY_DETACH_DELAY: '1' }, /^--identity-detach-delay is '3601': accepted is .* from 0 to 3600$/],
  [[], { IDENTITY_DETACH_DELAY: '3601' }, /^IDENTITY_DETACH_DELAY is '3601': accepted is .* from 0 to 3600$/],
  [[], { FORCE_NAMESPACED: 'yes' }, /^FORCE_NAMESPACED is 'yes': accepted is true \| false$/],
] as [string[], Record<string, string>, RegExp][]) {
  test(`refuses ${JSON.stringify(argv)} with ${JSON.stringify(env)}`, () => {
    assert.throws(() => parseSettings(table, argv, env), { name: 'SettingsError', message });
  });
}

test('explains every setting, its form and its default in --help', () => {
  const help = helpOf('program', 'does things', table);
  for (const name of Object.keys(table)) assert.ok(help.includes(`${flagOf(name)} (${variableOf(name)})`), name);
  assert.match(help, /whole number of seconds from 0 to 3600; default 300/);
});
