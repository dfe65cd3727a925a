// The part of `host` that calls Bun: listeners, files, signals.
import { systemClock } from '../../common/clock.ts';
import { CommandError } from '../errors.ts';
import type { Log } from '../log.ts';
import { createLog } from '../log.ts';
import type { HostSettings } from '../settings.ts';
import type { Endpoint } from './endpoint.ts';
import { createEndpoint } from './endpoint.ts';
import { textResponse } from './responses.ts';

const drainMs = 1_800;
/** Bun has no limit for connections. So idle and half-sent ones go soon: any process of the node can open thousands. */
const idleSeconds = 10;
/** For a request that waits. */
const waitingSeconds = 255;
/** How soon the endpoint takes a port over that was taken. */
const portRetryMs = 1_000;

/** Serves until a signal stops it. Waits for the port where another program has it. */
export async function serveHost(settings: HostSettings): Promise<void> {
  // Before all else: a signal during the start must find its handler.
  const stopSignal = new Promise<string>((resolve) => {
    process.on('SIGINT', resolve);
    process.on('SIGTERM', resolve);
  });
  const log = createLog({ level: settings.logLevel, format: settings.logFormat, now: Date.now, write: (line) => console.log(line) });
  const { caFile, tokenFile } = settings.broker;
  const endpoint = createEndpoint(settings, {
    fetch: (url, options) => fetch(url, options),
    clock: systemClock,
    random: Math.random,
    log,
    readCa: () => Bun.file(caFile).text(),
    readToken: () => Bun.file(tokenFile).text(),
  });
  const servers = await Promise.race([listenWhenFree(settings.port, log, endpoint), stopSignal.then(() => [])]);
  const addresses = servers.map(({ hostname, port }) => `${hostname}:${port}`);
  if (servers.length > 0) log.info('serving', { addresses: addresses.join(' '), imds: settings.imdsUrl, broker: settings.broker.url });

  log.info('stopping', { signal: await stopSignal });
  endpoint.close();
  await Promise.race([Promise.all(servers.map((server) => server.stop())), Bun.sleep(drainMs)]);
}

/**
 * The IPv4 address decides, since an NMI of aad-pod-identity takes only this one: where both listened, callers of `localhost` would reach either. A node
 * without IPv6 has no second address.
 */
async function listenWhenFree(port: number, log: Log, endpoint: Endpoint) {
  for (let isFirst = true; ; isFirst = false) {
    const server = listen('127.0.0.1', port, log, endpoint);
    if (!(server instanceof Error)) {
      const other = listen('::1', port, log, endpoint);
      if (!(other instanceof Error)) return [server, other];
      log.warn('not listening on the IPv6 loopback address', { address: `[::1]:${port}`, error: other.message });
      return [server];
    }
    if (codeOf(server) !== 'EADDRINUSE') throw new CommandError('listen_failed', `cannot listen on 127.0.0.1:${port}: ${server.message}`);
    if (isFirst)
      log.warn('port is taken, waiting until it is free: does an NMI of aad-pod-identity still run on this node?', {
        address: `127.0.0.1:${port}`,
      });
    await Bun.sleep(portRetryMs);
  }
}

function listen(hostname: string, port: number, log: Log, endpoint: Endpoint) {
  try {
    return Bun.serve({
      hostname,
      port,
      idleTimeout: idleSeconds,
      maxRequestBodySize: 4096,
      fetch(request, server) {
        const from = server.requestIP(request)?.address;
        const { url, headers, signal } = request;
        return endpoint.handle({ url, headers, signal, from }, () => server.timeout(request, waitingSeconds));
      },
      error(error) {
        log.error('request failed', { error: error.message });
        return textResponse(500, 'the node endpoint failed to answer');
      },
    });
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

const codeOf = (error: Error): unknown => ('code' in error ? error.code : undefined);
