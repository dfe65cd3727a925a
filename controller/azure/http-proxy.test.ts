// docs/private-clouds.md: what calls Azure obeys HTTPS_PROXY.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { msalNetwork } from '../../lib/azure/auth/msal-network.ts';
import { publicCloud } from '../../lib/azure/clouds.ts';
import { createLogger } from '../../lib/log.ts';
import { createArm } from './arm/client.ts';

/** The hosts that a proxy is asked for, which refuses them all. */
async function refusingProxy(t: TestContext): Promise<string[]> {
  const asked: string[] = [];
  const proxy = createServer().listen(0, '127.0.0.1');
  proxy.on('connect', ({ url }: IncomingMessage, socket: Duplex) => {
    asked.push(url ?? '');
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
  });
  await once(proxy, 'listening');
  t.after(() => proxy.close());
  const before = process.env.HTTPS_PROXY;
  process.env.HTTPS_PROXY = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  t.after(() => {
    if (before === undefined) delete process.env.HTTPS_PROXY;
    else process.env.HTTPS_PROXY = before;
  });
  return asked;
}

describe('an HTTP proxy', () => {
  it('carries the calls to Entra', async (t) => {
    const asked = await refusingProxy(t);
    await assert.rejects(msalNetwork().sendGetRequestAsync('https://login.example.com/tenant'));
    assert.deepEqual(asked, ['login.example.com:443']);
  });

  it('carries the calls to Resource Manager', async (t) => {
    const asked = await refusingProxy(t);
    const send = createArm({
      cloud: { ...publicCloud, resourceManager: 'https://management.example.com' },
      credential: { getToken: async () => ({ token: 'a', expiresOnTimestamp: Date.now() + 3_600_000 }) },
      userAgent: 'test',
      signInChanged: () => false,
      log: createLogger({ program: 'test', level: 'error', format: 'json' }),
    });
    await Promise.allSettled([send({ method: 'GET', url: '/subscriptions/s' })]);
    assert.deepEqual([...new Set(asked)], ['management.example.com:443']);
  });
});
