import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseSettings } from '../lib/settings.ts';
import { translateFormerNames } from './former-names.ts';
import { settings } from './settings.ts';

const read = (argv: string[], env: Record<string, string> = {}) => {
  const translated = translateFormerNames({ argv, env, notes: ['before'] });
  return { delay: parseSettings(settings, translated.argv, translated.env).identityDetachDelay, notes: translated.notes };
};

describe('translateFormerNames', () => {
  for (const [what, argv, env, delay, noted] of [
    ['no name', [], {}, 300, []],
    ['the name of now', ['--identity-detach-delay=7'], {}, 7, []],
    ['the former flag', ['--identity-linger=7'], {}, 7, [/^--identity-linger is --identity-detach-delay now/]],
    ['the former flag with its value apart', ['--identity-linger', '7'], {}, 7, [/^--identity-linger is/]],
    ['the former variable', [], { IDENTITY_LINGER: '7' }, 7, [/^IDENTITY_LINGER is IDENTITY_DETACH_DELAY now/]],
    ['an empty former variable', [], { IDENTITY_LINGER: '' }, 300, []],
    ['both names with one value', ['--identity-linger=7', '--identity-detach-delay=7'], {}, 7, [/^--identity-linger is/]],
    ['a flag over the former variable', ['--identity-detach-delay=1'], { IDENTITY_LINGER: '7' }, 1, [/^IDENTITY_LINGER is/]],
  ] as const)
    it(`reads the delay of ${what}`, () => {
      const found = read([...argv], env);
      assert.equal(found.delay, delay);
      assert.equal(found.notes[0], 'before');
      assert.equal(found.notes.length, 1 + noted.length);
      for (const [index, pattern] of noted.entries()) assert.match(found.notes[index + 1] ?? '', pattern);
    });

  it('refuses two names with two values, as flags and as variables', () => {
    assert.throws(() => read(['--identity-linger=1', '--identity-detach-delay=2']), {
      message: /^--identity-linger is '1' and --identity-detach-delay is '2': they are one setting/,
    });
    assert.throws(() => read([], { IDENTITY_LINGER: '1', IDENTITY_DETACH_DELAY: '2' }), { code: 'invalid_settings' });
  });
});
