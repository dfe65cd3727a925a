// The part of `proxy` that calls Bun: listener, files, signals.

import { systemClock } from '../../common/clock.ts';
import { Failure } from '../failure.ts';
import type { Log } from '../log.ts';
import { createLog } from '../log.ts';
import type { ProxySettings } from '../settings.ts';
import { isPem, parseAddress } from '../settings.ts';
import { errorAnswer } from './answers.ts';
import type { Handler } from './handler.ts';
import { answerMonitoring } from './metrics.ts';
import { startProxy } from './proxy.ts';

const drainMs = 1800;
/** Closes idle and half-sent connections; held ones get {@link holdSeconds}. */
const idleSeconds = 60;
const holdSeconds = 255;

/** Serves until a signal ends it. */
export async function serveProxy(settings: ProxySettings): Promise<void> {
  // First of all: a signal during the start must find its handler.
  const end = endSignal(settings.mode);
  dropProxyVariables();
  const log = createLog({ level: settings.logLevel, now: Date.now, write: (line) => console.log(line) });
  const ca = 'pem' in settings.broker.ca ? settings.broker.ca.pem : await readCa(settings.broker.ca.file);
  const proxy = startProxy(settings, {
    fetch: (url, options) => fetch(url, options),
    clock: systemClock,
    random: Math.random,
    log,
    ca,
    readToken: () => Bun.file(settings.broker.tokenFile).text(),
  });
  const monitoring =
    settings.metricsListen === undefined
      ? undefined
      : listen(settings.metricsListen, log, (request) => answerMonitoring(request, proxy.metrics));
  const server = listen(settings.listen, log, proxy.handle);
  log.info('serving', {
    address: `${server.hostname}:${server.port}`,
    metrics: monitoring === undefined ? undefined : `${monitoring.hostname}:${monitoring.port}`,
    imds: settings.imdsUrl,
    broker: settings.broker.url,
    mode: settings.mode,
  });

  const signal = await end;
  log.info('ending', { signal });
  await Promise.all([proxy.close(), monitoring?.stop(true)]);
  await Promise.race([server.stop(), Bun.sleep(drainMs)]);
}

function listen(address: string, log: Log, handle: Handler) {
  const { hostname = '', port = 0 } = parseAddress(address) ?? {};
  try {
    return Bun.serve({
      hostname,
      port,
      idleTimeout: idleSeconds,
      maxRequestBodySize: 4096,
      fetch: (request, server) => handle(request, () => server.timeout(request, holdSeconds)),
      error(error) {
        log.error('request failed', { error: error.message });
        return errorAnswer({ status: 500, text: 'the identity proxy failed to answer' }, 'imds');
      },
    });
  } catch (error) {
    throw new Failure(`cannot listen on ${address}: ${error instanceof Error ? error.message : 'unknown error'}`);
  }
}

/** A native sidecar gets SIGTERM when the application is gone; a classic one at the same time as the application, which may still want tokens. */
function endSignal(mode: ProxySettings['mode']): Promise<string> {
  return new Promise((resolve) => {
    process.on('SIGINT', resolve);
    process.on('SIGTERM', (signal) => {
      if (mode === 'native') resolve(signal);
    });
  });
}

/** Clusters inject these into pods, and Bun obeys them: IMDS and the broker are always reached directly. */
function dropProxyVariables(): void {
  for (const name of Object.keys(process.env)) {
    if (/^(https?|all|no)_proxy$/i.test(name)) delete process.env[name];
  }
}

async function readCa(file: string): Promise<string> {
  const pem = await Bun.file(file)
    .text()
    .catch(() => undefined);
  if (pem === undefined || !isPem(pem)) throw new Failure(`--broker-ca-file ${file} cannot be read as PEM certificates`);
  return pem;
}
