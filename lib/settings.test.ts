import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { boolean, choice, flagOf, helpOf, list, number, parseSettings, SettingsError, text, variableOf } from './settings.ts';

const table = {
  armEndpoint: text({ description: 'd', default: '', form: 'https URL', pattern: /^https:/ }),
  logLevel: choice(['debug', 'info'], { description: 'd', default: 'info' }),
  forceNamespaced: boolean({ description: 'd', default: false }),
  identityLinger: number({ description: 'd', unit: 'seconds', default: 300, max: 3600 }),
  immutableUserMsis: list({ description: 'd', form: 'small letters', accepts: (item) => /^[a-z]+$/.test(item), default: [] }),
};

describe('settings', () => {
  it('has one name in three spellings', () => {
    assert.equal(flagOf('armEndpoint'), '--arm-endpoint');
    assert.equal(variableOf('armEndpoint'), 'ARM_ENDPOINT');
  });

  it('takes a flag over the environment and the environment over the default', () => {
    const env = { LOG_LEVEL: 'debug', IDENTITY_LINGER: '5' };
    const values = parseSettings(table, ['--identity-linger=7', '--arm-endpoint', 'https://arm', '--force-namespaced'], env);
    assert.deepEqual(values, {
      armEndpoint: 'https://arm',
      logLevel: 'debug',
      forceNamespaced: true,
      identityLinger: 7,
      immutableUserMsis: [],
    });
  });

  it('reads a boolean flag with and without a value', () => {
    assert.equal(parseSettings(table, ['--force-namespaced', 'false'], {}).forceNamespaced, false);
    assert.equal(parseSettings(table, ['--force-namespaced', '--log-level=debug'], {}).forceNamespaced, true);
  });

  for (const [argv, env, message] of [
    [['--arm-endpont=x'], {}, /unknown argument --arm-endpont/],
    [['--log-level=loud'], {}, /--log-level is 'loud': accepted is debug \| info/],
    [['--identity-linger'], {}, /--identity-linger has no value: accepted is a whole number of seconds from 0 to 3600/],
    [[], { IDENTITY_LINGER: '1e3' }, /IDENTITY_LINGER is '1e3'/],
    [[], { IDENTITY_LINGER: '3601' }, /from 0 to 3600/],
    [[], { FORCE_NAMESPACED: 'yes' }, /accepted is true \| false/],
    [['--immutable-user-msis=ok,N0'], {}, /--immutable-user-msis is 'ok,N0': accepted is comma separated small letters/],
    [['--arm-endpoint=http://x'], {}, /accepted is https URL/],
  ] as [string[], Record<string, string>, RegExp][]) {
    it(`refuses ${JSON.stringify(argv)} ${JSON.stringify(env)} in one line that says what is accepted`, () => {
      assert.throws(
        () => parseSettings(table, argv, env),
        (error) => error instanceof SettingsError && message.test(error.message) && !error.message.includes('\n'),
      );
    });
  }

  it('never fails but with a SettingsError, whatever the arguments', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.string(), fc.constantFrom(...Object.keys(table).map(flagOf)))), (argv) => {
        try {
          parseSettings(table, argv, {});
        } catch (error) {
          assert.ok(error instanceof SettingsError);
        }
      }),
    );
  });

  it('names every setting, its form and its default in --help', () => {
    const help = helpOf('program', 'does things', table);
    for (const name of Object.keys(table)) assert.ok(help.includes(`${flagOf(name)} (${variableOf(name)})`), name);
    assert.match(help, /whole number of seconds from 0 to 3600; default 300/);
  });
});
