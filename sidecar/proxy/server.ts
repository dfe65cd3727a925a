// The part of `proxy` that calls Bun: listeners, files, signals.
import { parseAddress } from '../../common/address.ts';
import { systemClock } from '../../common/clock.ts';
import { CommandError } from '../errors.ts';
import type { Log } from '../log.ts';
import { createLog } from '../log.ts';
import type { ProxySettings } from '../settings.ts';
import { isPem } from '../settings.ts';
import type { Handler } from './handler.ts';
import type { Metrics } from './metrics.ts';
import { respondToMonitoring } from './metrics.ts';
import { startProxy } from './proxy.ts';
import { errorResponse } from './responses.ts';

const drainMs = 1800;
/** Closes idle and half-sent connections. A request that waits gets {@link waitingSeconds}. */
const idleSeconds = 60;
const waitingSeconds = 255;

/** Serves until a signal stops it. */
export async function serveProxy(settings: ProxySettings): Promise<void> {
  // Before all else: a signal during the start must find its handler.
  const stopSignal = waitForSignal(settings.mode);
  const log = createLog({ level: settings.logLevel, format: settings.logFormat, now: Date.now, write: (line) => console.log(line) });
  const ca = 'pem' in settings.broker.ca ? settings.broker.ca.pem : await readCa(settings.broker.ca.file);
  const proxy = startProxy(settings, {
    fetch: (url, options) => fetch(url, options),
    clock: systemClock,
    random: Math.random,
    timingSafeEqual: (a, b) => crypto.timingSafeEqual(a, b),
    log,
    ca,
    readToken: () => Bun.file(settings.broker.tokenFile).text(),
  });
  const monitoring = serveMonitoring(settings, log, proxy.metrics);
  const server = listen(settings.listen, log, proxy.handle);
  log.info('serving', {
    address: `${server.hostname}:${server.port}`,
    metricsPort: monitoring?.port,
    imds: settings.imdsUrl,
    broker: settings.broker.url,
    mode: settings.mode,
  });

  log.info('stopping', { signal: await stopSignal });
  await Promise.all([proxy.close(), monitoring?.stop(true)]);
  await Promise.race([server.stop(), Bun.sleep(drainMs)]);
}

/** Undefined without such a listener. A container of the pod may have taken the port: tokens matter more than metrics. */
function serveMonitoring({ metricsListen }: ProxySettings, log: Log, metrics: Metrics) {
  if (metricsListen === undefined) return undefined;
  try {
    return listen(metricsListen, log, (request) => respondToMonitoring(request, metrics));
  } catch (error) {
    log.error('metrics are not served', { error: error instanceof Error ? error.message : String(error) });
    return undefined;
  }
}

function listen(address: string, log: Log, handle: Handler) {
  try {
    const parsed = parseAddress(address);
    if (parsed === undefined) throw new Error('it is not host:port');
    return Bun.serve({
      // Without one, Bun listens on every address, of IPv6 and of IPv4.
      ...(parsed.host === '' ? {} : { hostname: parsed.host }),
      port: parsed.port,
      idleTimeout: idleSeconds,
      maxRequestBodySize: 4096,
      fetch: (request, server) => handle(request, () => server.timeout(request, waitingSeconds)),
      error(error) {
        log.error('request failed', { error: error.message });
        return errorResponse({ status: 500, message: 'the identity proxy failed to answer' }, 'imds');
      },
    });
  } catch (error) {
    throw new CommandError('listen_failed', `cannot listen on ${address}: ${error instanceof Error ? error.message : 'unknown error'}`);
  }
}

/**
 * A native sidecar gets SIGTERM after the application has stopped. A classic one gets it together with the application, which may still need
 * tokens, and so ignores it: the pod ends it by SIGKILL.
 */
function waitForSignal(mode: ProxySettings['mode']): Promise<string> {
  return new Promise((resolve) => {
    process.on('SIGINT', resolve);
    process.on('SIGTERM', (signal) => {
      if (mode === 'native') resolve(signal);
    });
  });
}

async function readCa(file: string): Promise<string> {
  const pem = await Bun.file(file)
    .text()
    .catch(() => undefined);
  if (pem === undefined || !isPem(pem))
    throw new CommandError('ca_unreadable', `--broker-ca-file ${file} cannot be read as PEM certificates`);
  return pem;
}
