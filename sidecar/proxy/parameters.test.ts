// No request that names an identity gets the token of another one, however the name is spelled. On a whole proxy, in both protocols.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import type { IdentityRow } from '../../api/broker.ts';
import { row } from '../testing/fixtures.ts';
import { startProxyHarness } from '../testing/proxy-harness.ts';
import { looseName } from './parameters.ts';

const rows = [row('default'), row('other'), row('kilo', { namespace: 'shared' })];
const idOf: Record<string, (each: IdentityRow) => string> = {
  client_id: (each) => each.clientID,
  clientid: (each) => each.clientID,
  object_id: (each) => each.objectID ?? '',
  principal_id: (each) => each.objectID ?? '',
  msi_res_id: (each) => each.resourceID,
  mi_res_id: (each) => each.resourceID,
  resourceId: (each) => each.resourceID,
};
const protocols = ['/metadata/identity/oauth2/token', '/msi/token'] as const;
const headers = { metadata: 'true', 'x-identity-header': 'uid-1' };

let harness: Awaited<ReturnType<typeof startProxyHarness>>;
before(async () => {
  harness = await startProxyHarness({ flags: ['--identity-header=uid-1'] });
  await harness.bind(rows);
  // After this time an unknown identity is refused at once.
  await harness.clock.advance(180_000);
});
after(() => harness.proxy.close());

interface Answer {
  status: number;
  /** The name of the identity whose token came. */
  identity: string | undefined;
  text: string;
}

async function ask(path: string, query: string): Promise<Answer> {
  const response = await harness.request(`${path}?${query}`, { headers });
  const text = await response.text();
  return { status: response.status, identity: /"token-of-(\w+)-/.exec(text)?.[1], text };
}

const asciiLower = (text: string) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
const encoded = (text: string) => encodeURIComponent(text.toWellFormed());

const protocol = fc.constantFrom(...protocols);
const separators = fc.array(fc.constantFrom('-', '_', '+', '%20', '%5F', '%2d', '%09'), { maxLength: 2 }).map((parts) => parts.join(''));
const percent = (letter: string) => `%${letter.charCodeAt(0).toString(16)}`;
/** A parameter that means an identity, with a spelling of its name as it stands in a query. */
const named = fc.constantFrom(...Object.keys(idOf)).chain((name) => {
  const letters = [...looseName(name)].map((letter) =>
    fc
      .tuple(separators, fc.constantFrom(letter, letter, letter.toUpperCase(), percent(letter), percent(letter.toUpperCase())))
      .map((parts) => parts.join('')),
  );
  const loose = fc.tuple(...letters, separators).map((parts) => parts.join(''));
  return fc.record({ name: fc.constant(name), spelling: fc.oneof(fc.constant(name), loose) });
});
const known = rows.flatMap((each) => [each.clientID, each.objectID ?? '', each.resourceID]);
const value = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...known) },
  { weight: 2, arbitrary: fc.constantFrom(...known).map((id) => id.toUpperCase()) },
  { weight: 1, arbitrary: fc.constantFrom(...known).map((id) => id.replaceAll('k', '\u212a')) },
  { weight: 1, arbitrary: fc.constantFrom(...known).map((id) => ` ${id}\n`) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }) },
  { weight: 1, arbitrary: fc.constantFrom('', ' ', '*', 'default', 'team/default', 'null') },
);

test('answers a named identity with its own token or 400, in any spelling', async () => {
  await fc.assert(
    fc.asyncProperty(protocol, named, value, fc.boolean(), async (path, { name, spelling }, wanted, isFirst) => {
      const pair = `${spelling}=${encoded(wanted)}`;
      const answer = await ask(path, isFirst ? `${pair}&resource=r` : `api-version=2019-08-01&resource=r&${pair}`);
      const match = rows.find((each) => asciiLower(idOf[name]?.(each) ?? '') === asciiLower(wanted.toWellFormed().trim()));
      const expected = wanted === '' ? rows[0] : match;
      assert.deepEqual([answer.status, answer.identity], expected === undefined ? [400, undefined] : [200, expected.name], answer.text);
    }),
    { numRuns: 2000 },
  );
});

test('takes an id with blanks around it, and blanks alone for no id of anybody', async () => {
  const [first] = rows;
  assert.equal((await ask(protocols[0], `resource=r&client_id=%20${first?.clientID}%0A`)).identity, first?.name);
  assert.equal((await ask(protocols[0], 'resource=r&client_id=%20')).status, 400);
});

test('refuses two parameters that name an identity, also when they agree', async () => {
  await fc.assert(
    fc.asyncProperty(protocol, named, named, fc.constantFrom(...rows), fc.constantFrom(...rows), async (path, a, b, one, two) => {
      const pairs = [`${a.spelling}=${encoded(idOf[a.name]?.(one) ?? '')}`, `${b.spelling}=${encoded(idOf[b.name]?.(two) ?? '')}`];
      const { status, text } = await ask(path, `resource=r&${pairs.join('&')}`);
      assert.equal(status, 400);
      assert.match(
        text,
        looseName(a.name) === looseName(b.name) ? /is given more than once/ : /exclude each other: .* client_id, object_id/,
      );
    }),
    { numRuns: 500 },
  );
});

test('answers a request with an unknown parameter as the one without it', async () => {
  const looseNames = new Set(['resource', 'bypasscache', 'xmscc', ...Object.keys(idOf).map(looseName)]);
  const word = fc.constantFrom('client', 'id', 'resource', 'identity', 'res', 'mi', 'authority', 'x');
  const unknown = fc
    .oneof(
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join('_')),
    )
    .filter((name) => !looseNames.has(looseName(name.toWellFormed())));
  const selector = fc.option(fc.tuple(named, value).map(([{ spelling }, wanted]) => `${spelling}=${encoded(wanted)}`));
  await fc.assert(
    fc.asyncProperty(protocol, selector, unknown, value, fc.boolean(), async (path, pair, name, text, isFirst) => {
      const base = ['resource=r', ...(pair === null ? [] : [pair])];
      const added = `${encoded(name)}=${encoded(text)}`;
      const expected = await ask(path, base.join('&'));
      assert.deepEqual(await ask(path, (isFirst ? [added, ...base] : [...base, added]).join('&')), expected);
    }),
    { numRuns: 1000 },
  );
});

test('selects by the names of App Service of 2017 and 2019 on both paths', async () => {
  for (const path of protocols)
    for (const query of ['api-version=2019-08-01&principal_id=object-of-other', 'api-version=2017-09-01&clientid=client-of-other'])
      assert.equal((await ask(path, `${query}&resource=r`)).identity, 'other', `${path}?${query}`);
});
