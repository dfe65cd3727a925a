// docs/reference/imds.md#paths is the list of what the proxy does with the paths of IMDS: here it is held against the proxy.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { json, row } from '../testing/fixtures.ts';
import { startProxyHarness } from '../testing/proxy-harness.ts';
import { passedPaths } from './imds-paths.ts';

const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/reference/imds.md'), 'utf8');
const rows = [...page.matchAll(/^\| `(GET|POST) (\S+)` \| (\w+) \| (.*?) \| .* \|$/gm)].map(
  ([, method = '', target = '', kind = '', parameters = '']) => ({ method, target, kind, parameters }),
);
const bodies: Record<string, string> = {
  '/metadata/scheduledevents': '{"StartRequests":[{"EventId":"e"}]}',
  '/acc/tdquote': '{"report":"AA=="}',
};

describe('the table of paths in docs/reference/imds.md', () => {
  it('names the requests that are passed on, and their parameters', () => {
    const passed = passedPaths.map(({ method, path: target, below, parameters }) => {
      const names = parameters === 'all' ? 'all' : parameters.map((name) => `\`${name}\``).join(', ') || 'none';
      return `${method} ${target}${below === true ? '[/...]' : ''}: ${names}`;
    });
    const documented = rows.filter(({ kind, target }) => kind !== 'refused' && !target.endsWith('/token'));
    assert.deepEqual(documented.map(({ method, target, parameters }) => `${method} ${target}: ${parameters}`).sort(), passed.sort());
  });

  for (const { method, target, kind } of rows)
    it(`says truly that ${method} ${target} is ${kind}`, async () => {
      const statusWith = async (flags: string[]) => {
        const harness = await startProxyHarness({ flags });
        await harness.bind([row('a')]);
        harness.respond.imds = (url) => (url.pathname.endsWith('/token') ? harness.tokenResponse(url) : json({}));
        const where = target.replace('[/...]', '/x/y');
        const { status } = await harness.request(`${where}?resource=r&api-version=v`, { method, body: bodies[where] ?? '' });
        await harness.proxy.close();
        return status;
      };
      const statuses = [await statusWith([]), await statusWith(['--block-instance-metadata', '--allow-event-approval'])];
      const found = statuses.every((status) => status === 200) ? 'served' : statuses.includes(200) ? 'switchable' : 'refused';
      assert.equal(found, kind, statuses.join());
      if (found !== 'served') assert.ok(statuses.includes(found === 'refused' ? 404 : 403), statuses.join());
    });
});
