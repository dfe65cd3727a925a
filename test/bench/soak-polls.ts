// Run by soak.ts on Bun: the proxy's own poll of a broker, without the pauses that it makes after an answer that came at once.

import { systemClock } from '../../common/clock.ts';
import { startProxy } from '../../sidecar/proxy/proxy.ts';
import { readProxySettings } from '../../sidecar/settings.ts';

const [url = '', ca = ''] = process.argv.slice(2);
const silent = () => {};
const betweenPolls = new Set([100, 5000]);
const settings = readProxySettings([`--broker-url=${url}`, `--broker-ca=${ca}`, '--broker-token-file=/none']);
startProxy(settings, {
  fetch: (target, options) => fetch(target, options),
  clock: { ...systemClock, after: (ms, call) => systemClock.after(betweenPolls.has(ms) ? 0 : ms, call) },
  random: Math.random,
  timingSafeEqual: (a, b) => crypto.timingSafeEqual(a, b),
  log: { debug: silent, info: silent, warn: silent, error: (message) => console.error(message) },
  ca,
  readToken: () => Promise.resolve('bound-token'),
});
