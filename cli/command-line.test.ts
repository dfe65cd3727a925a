import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SettingsError } from '../common/options.ts';
import { checkPodOptions, joinRepeated, listOptions, splitWords } from './command-line.ts';

describe('splitWords', () => {
  it('tells the words of a command from its flags and their values', () =>
    assert.deepEqual(splitWords(['check', '--namespace', 'team', 'pod', '--output=json', 'web'], checkPodOptions), {
      words: ['check', 'pod', 'web'],
      flags: ['--namespace', 'team', '--output=json'],
    }));

  it('takes a word behind a flag without value for a word', () =>
    assert.deepEqual(splitWords(['check', 'pod', '--try-token', 'web'], checkPodOptions), {
      words: ['check', 'pod', 'web'],
      flags: ['--try-token'],
    }));

  for (const args of [['-n', 'team'], ['-nteam'], ['-n=team']])
    it(`reads ${args.join(' ')} as kubectl does`, () => {
      const { words, flags } = splitWords(['list', ...args], listOptions);
      assert.deepEqual([words, flags.join('=')], [['list'], '--namespace=team']);
    });

  it('takes - for a word: it is standard input', () => assert.deepEqual(splitWords(['-'], listOptions).words, ['-']));

  it('names an unknown short flag and those that there are', () =>
    assert.throws(
      () => splitWords(['-x'], listOptions),
      (error) => error instanceof SettingsError && /^unknown argument -x: accepted are -n, /.test(error.message),
    ));
});

describe('joinRepeated', () => {
  it('makes one list of the values of a flag', () =>
    assert.deepEqual(joinRepeated(['--filename', 'a', '--federate', '--filename=b,c'], '--filename'), ['--federate', '--filename=a,b,c']));
  it('leaves the flags as they are without it', () => assert.deepEqual(joinRepeated(['--federate'], '--filename'), ['--federate']));
});
