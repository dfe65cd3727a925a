import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { boolean, choice, describeOptions, flagOf, list, number, optional, parseOptions, SettingsError, text } from './options.ts';

const options = {
  listenAddress: text({ description: 'd', default: ':80', form: 'host:port', accepts: (value) => value.includes(':') }),
  url: text({ description: 'd', default: '', form: 'https URL', pattern: /^https:/ }),
  logLevel: choice(['debug', 'info'], { description: 'd', default: 'info' }),
  verbose: boolean({ description: 'd', default: false }),
  timeout: number({ description: 'd', unit: 'seconds', default: 300, max: 3600 }),
  ratio: number({ description: 'd', default: 0.5, min: 0.1, integer: false }),
  names: list({ description: 'd', form: 'small letters', accepts: (item) => /^[a-z]+$/.test(item), default: [] }),
  note: optional(text({ description: 'd' })),
};

test('reads --flag=value, --flag value and a flag that stands alone', () => {
  const values = parseOptions(options, ['--log-level', 'debug', '--verbose', '--timeout=7', '--ratio=0.25', '--names=a, b', '--note=']);
  assert.deepEqual(values, {
    listenAddress: ':80',
    url: '',
    logLevel: 'debug',
    verbose: true,
    timeout: 7,
    ratio: 0.25,
    names: ['a', 'b'],
    note: '',
  });
});

test('reads a boolean with = and as the next argument', () => {
  assert.equal(parseOptions(options, ['--verbose=false']).verbose, false);
  assert.equal(parseOptions(options, ['--verbose', 'false']).verbose, false);
  assert.equal(parseOptions(options, ['--verbose', '--timeout', '1']).verbose, true);
});

test('takes the next argument as the value even if it looks like a flag', () => {
  assert.equal(parseOptions(options, ['--note', '--verbose']).note, '--verbose');
});

test('lets the last of several equal flags win', () => {
  assert.equal(parseOptions(options, ['--timeout=1', '--verbose', '--timeout=2']).timeout, 2);
});

test('takes an absent option from elsewhere, then from its fallback', () => {
  const elsewhere = (name: string) => (name === 'timeout' ? { spelling: 'TIMEOUT', text: '5' } : undefined);
  assert.equal(parseOptions(options, [], elsewhere).timeout, 5);
  assert.equal(parseOptions(options, ['--timeout=6'], elsewhere).timeout, 6);
  assert.equal(parseOptions(options, []).timeout, 300);
  assert.equal(parseOptions(options, []).note, undefined);
});

for (const [args, message] of [
  [['--timeuot=1'], 'unknown argument --timeuot: see --help for the accepted flags'],
  [['serve'], 'unknown argument serve: see --help for the accepted flags'],
  [['-v'], 'unknown argument -v: see --help for the accepted flags'],
  [['--'], 'unknown argument --: see --help for the accepted flags'],
  [['--no-verbose'], 'unknown argument --no-verbose: see --help for the accepted flags'],
  [['--__proto__=1'], 'unknown argument --__proto__: see --help for the accepted flags'],
  [['--verbose', 'maybe'], 'unknown argument maybe: see --help for the accepted flags'],
  [['--verbose', '--', 'true'], 'unknown argument --: see --help for the accepted flags'],
  [['--timeout'], '--timeout has no value: accepted is a whole number of seconds from 0 to 3600'],
  [['--timeout=1e3'], "--timeout is '1e3': accepted is a whole number of seconds from 0 to 3600"],
  [['--timeout=3601'], "--timeout is '3601': accepted is a whole number of seconds from 0 to 3600"],
  [['--ratio=0'], "--ratio is '0': accepted is a number of at least 0.1"],
  [['--log-level=loud'], "--log-level is 'loud': accepted is debug | info"],
  [['--verbose=yes'], "--verbose is 'yes': accepted is true | false"],
  [['--url=http://x'], "--url is 'http://x': accepted is https URL"],
  [['--listen-address=x'], "--listen-address is 'x': accepted is host:port"],
  [['--names=ok,N0'], "--names is 'ok,N0': accepted is comma separated small letters"],
  [[`--url=a\n${'b'.repeat(200)}`], `--url is 'a ${'b'.repeat(98)}...': accepted is https URL`],
] as const) {
  test(`refuses ${JSON.stringify(args).slice(0, 40)} and says what is accepted`, () => {
    assert.throws(() => parseOptions(options, args), { name: 'SettingsError', code: 'invalid_settings', message });
  });
}

test('refuses a command line that lacks a required option', () => {
  const needed = { podIp: text({ description: 'd', form: 'an IP address' }) };
  assert.throws(() => parseOptions(needed, []), { name: 'SettingsError', message: '--pod-ip is missing: accepted is an IP address' });
  assert.equal(parseOptions(needed, ['--pod-ip=10.0.0.1']).podIp, '10.0.0.1');
});

test('names the place that a wrong value came from', () => {
  const elsewhere = () => ({ spelling: 'TIMEOUT', text: 'soon' });
  assert.throws(() => parseOptions({ timeout: options.timeout }, [], elsewhere), { message: /^TIMEOUT is 'soon': accepted is / });
});

test('agrees with parseArgs of node:util on every command line that it accepts', () => {
  const word = fc.constantFrom('--note', '--note=', '--note=a=b', '--verbose', '--timeout=5', '--timeout', '7', 'true', '-', 'x\ny');
  const property = fc.property(fc.array(word, { maxLength: 6 }), (args) => {
    const types = { note: { type: 'string' }, verbose: { type: 'boolean' }, timeout: { type: 'string' } } as const;
    let expected: ReturnType<typeof parseArgs<{ args: string[]; options: typeof types }>>['values'];
    try {
      expected = parseArgs({ args, options: types }).values;
    } catch {
      return;
    }
    fc.pre(expected.timeout === undefined || /^\d+$/.test(expected.timeout));
    const { note, verbose, timeout } = parseOptions(options, args);
    assert.deepEqual(
      { note, verbose, timeout },
      { note: expected.note, verbose: expected.verbose ?? false, timeout: Number(expected.timeout ?? 300) },
    );
  });
  fc.assert(property, { numRuns: 2000 });
});

test('throws nothing but a SettingsError, whatever the arguments', () => {
  const word = fc.oneof(fc.string(), fc.constantFrom('true', '-', '--', '=', ...Object.keys(options).map(flagOf)));
  const property = fc.property(fc.array(word), (args) => {
    try {
      parseOptions(options, args);
    } catch (error) {
      assert.ok(error instanceof SettingsError);
    }
  });
  fc.assert(property);
});

test('describes each option by its flag, meaning, form and default', () => {
  const help = describeOptions({ ...options, podIp: text({ description: 'address of the pod', form: 'an IP address' }) });
  for (const name of Object.keys(options)) assert.ok(help.includes(`  ${flagOf(name)}\n`), name);
  assert.match(help, /a whole number of seconds from 0 to 3600; default 300\n/);
  assert.match(help, / {2}--pod-ip\n {6}address of the pod\n {6}an IP address; required\n/);
  assert.match(help, / {2}--note\n {6}d\n {6}text; optional\n/);
  assert.match(help, / {2}--url\n {6}d\n {6}https URL; default empty\n/);
});
