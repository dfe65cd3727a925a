// `npm run emulator` as a program: its ready line, its errors, its end.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { smallAzure, tenant } from './fixtures.ts';
import type { TestContext } from './harness.ts';
import { call, imds } from './requests.ts';

const main = path.resolve(import.meta.dirname, '../../azure/main.ts');

function start(context: TestContext, args: readonly string[]) {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString('utf8');
  });
  const ended = once(child, 'close').then(([code]) => ({ code, errors }));
  // By a signal it can clean up after: its temporary CA file must not outlive the test.
  context.after(() => {
    child.kill('SIGTERM');
    return ended;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { child, ended, line: async () => String((await lines.next()).value) };
}

const folderOf = (context: TestContext): string => {
  const folder = mkdtempSync(path.join(tmpdir(), 'azure-program-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`prints its addresses, serves its own example and ends on ${signal}`, async (context) => {
    const { child, ended, line } = start(context, []);
    const ready: Record<string, string> = JSON.parse(await line());
    assert.deepEqual(Object.keys(ready), ['imds', 'arm', 'entra', 'control', 'ca']);
    assert.equal((await imds(`${ready.imds}`)).status, 200);
    assert.equal((await call(`${ready.entra}`, `/${tenant}/discovery/keys`, { ca: readFileSync(`${ready.ca}`, 'utf8') })).status, 200);
    child.kill(signal);
    assert.deepEqual(await ended, { code: 0, errors: '' });
    assert.equal(existsSync(path.dirname(`${ready.ca}`)), false);
  });
}

test('takes state, CA file, machine and paths from its flags', async (context) => {
  const folder = folderOf(context);
  const [state, ca] = [path.join(folder, 'state.json'), path.join(folder, 'ca.pem')];
  writeFileSync(state, JSON.stringify(smallAzure()));
  const { child, ended, line } = start(context, [
    '--state',
    state,
    '--ca-file',
    ca,
    '--vm',
    'alone',
    '--paths',
    'strict',
    '--seed',
    '7',
    '--arm',
    'localhost:0',
  ]);
  const ready: Record<string, string> = JSON.parse(await line());
  assert.equal(ready.ca, ca);
  assert.match((await imds(`${ready.imds}`)).text, /access_token/);
  assert.equal((await call(`${ready.imds}`, '/metadata/versions/', { headers: { metadata: 'true' } })).status, 404);
  assert.equal((await call(`${ready.arm}`, '/', { ca: readFileSync(ca, 'utf8') })).status, 401);
  child.kill('SIGTERM');
  assert.equal((await ended).code, 0);
  assert.equal(existsSync(ca), true, 'a CA file that was asked for stays');
});

test('ends with one line that names a wrong flag or field of the state', async (context) => {
  const folder = folderOf(context);
  const file = (name: string, text: string) => {
    writeFileSync(path.join(folder, name), text);
    return path.join(folder, name);
  };
  const badState = file('bad.json', JSON.stringify(smallAzure({ scaleSets: [{ name: 'a', orchestraton: 'Uniform' }] })));
  const cases: [string[], RegExp][] = [
    [['--port', '1'], /'--port'.*--help/],
    [['extra'], /extra.*--help/],
    [['--imds', '80'], /^--imds: must be ADDR:PORT/],
    [['--imds', '127.0.0.1:99999'], /^--imds: must be ADDR:PORT/],
    [['--paths', 'loose'], /^--paths: must be "lenient" or "strict"/],
    [['--seed', 'x'], /^--seed: must be a whole number/],
    [['--vm', 'nobody'], /^--vm: "nobody" is not/],
    [['--state', file('broken.json', '{')], /^--state .*broken\.json: is not JSON/],
    [['--state', badState], /^--state .*bad\.json: scaleSets\[0\]\.orchestraton: is not known here/],
    [['--state', path.join(folder, 'none.json')], /none\.json/],
    [['--issuer-ca', path.join(folder, 'none.pem')], /none\.pem/],
    [['--ca-file', path.join(folder, 'no', 'ca.pem')], /ca\.pem/],
  ];
  await Promise.all(
    cases.map(async ([args, message]) => {
      const { code, errors } = await start(context, args).ended;
      assert.equal(code, 1, args.join(' '));
      assert.match(errors, message);
      assert.equal(errors.trim().split('\n').length, 1, errors);
    }),
  );
});

test('ends with one line when a port is taken, and leaves nothing running', async (context) => {
  const first = start(context, []);
  const { imds: taken = '' }: Record<string, string> = JSON.parse(await first.line());
  const { code, errors } = await start(context, ['--entra', taken.replace('http://', '')]).ended;
  assert.equal(code, 1);
  assert.match(errors, /^listen EADDRINUSE.*choose another address or port\n$/);
});

test('lists every flag with --help', async (context) => {
  const { ended, line } = start(context, ['--help']);
  let text = '';
  for (let next = await line(); next !== 'undefined'; next = await line()) text += `${next}\n`;
  for (const flag of ['imds', 'arm', 'entra', 'control', 'state', 'ca-file', 'issuer-ca', 'paths', 'seed', 'vm', 'help'])
    assert.ok(text.includes(`--${flag}`), flag);
  assert.equal((await ended).code, 0);
});
