// The flags of `init`, `proxy` and `wait` (design 8) and what they mean once read.
import { imdsAddress, proxyPort } from '../api/names.ts';
import { boolean, choice, optional, readArguments, readFlag, seconds, text, UsageError, withDefault } from './flags.ts';
import { logLevels } from './log.ts';

const ipForm = 'an IP address, from the downward API';
const defaultListen = `127.0.0.1:${proxyPort}`;
const address = { form: 'host:port', accepts: (value: string) => parseAddress(value) !== undefined };

export const initFlags = {
  podIp: text({ name: 'pod-ip', help: 'status.podIP', form: ipForm, accepts: isIp }),
  hostIp: text({ name: 'host-ip', help: 'status.hostIP', form: ipForm, accepts: isIp }),
  blockWireServer: boolean({ name: 'block-wireserver', help: 'reject 168.63.129.16 tcp 80 and 32526' }),
  iptables: choice({ name: 'iptables', help: 'backend', values: ['nft', 'legacy'], fallback: 'nft' }),
};

export const waitFlags = {
  listen: withDefault(text({ name: 'listen', help: 'address of the proxy', ...address }), defaultListen),
  timeout: seconds({ name: 'timeout', help: 'give up after', fallback: 30, min: 1, max: 3600 }),
};

export const proxyFlags = {
  listen: withDefault(text({ name: 'listen', help: 'where applications are served', ...address }), defaultListen),
  imdsUrl: withDefault(
    text({
      name: 'imds-url',
      help: 'the instance metadata service',
      form: 'an http URL without a path',
      accepts: (value) => isBaseUrl(value, 'http:'),
    }),
    `http://${imdsAddress}`,
  ),
  brokerUrl: text({
    name: 'broker-url',
    help: 'the identity broker',
    form: 'an https URL without a path',
    accepts: (value) => isBaseUrl(value, 'https:'),
  }),
  brokerAddress: optional(text({ name: 'broker-address', help: "tried before the URL's own name", ...address })),
  brokerCa: optional(text({ name: 'broker-ca', help: 'CA of the broker, inline', form: 'PEM certificates', accepts: isPem })),
  brokerCaFile: optional(text({ name: 'broker-ca-file', help: 'CA of the broker', form: 'a file of PEM certificates' })),
  brokerTokenFile: text({ name: 'broker-token-file', help: 'the token that this pod shows to the broker', form: 'a file' }),
  requestDeadline: seconds({ name: 'request-deadline', help: 'longest time a request is held', fallback: 45, min: 1, max: 200 }),
  unknownIdentityTimeout: seconds({
    name: 'unknown-identity-timeout',
    help: 'how long an unknown identity is waited for',
    fallback: 5,
    min: 0,
    max: 200,
  }),
  identityTtl: seconds({
    name: 'identity-ttl',
    help: 'how long identities hold without the broker',
    fallback: 86_400,
    min: 1,
    max: 31_536_000,
  }),
  metricsListen: optional(text({ name: 'metrics-listen', help: 'where /metrics and /healthz are served; off when absent', ...address })),
  identityHeader: optional(
    text({
      name: 'identity-header',
      help: 'serves /msi/token (pods without a redirect) to who sends this X-IDENTITY-HEADER; off when absent',
      form: 'text',
    }),
  ),
  blockInstanceMetadata: boolean({ name: 'block-instance-metadata', help: 'answer /metadata/instance with 403' }),
  mode: choice({ name: 'mode', help: 'how the pod carries this container', values: ['native', 'classic'], fallback: 'native' }),
  logLevel: choice({ name: 'log-level', help: 'least level that is logged', values: logLevels, fallback: 'info' }),
};

export type InitSettings = ReturnType<typeof readInitSettings>;
export type ProxySettings = ReturnType<typeof readProxySettings>;

export function readInitSettings(args: readonly string[]) {
  const texts = readArguments(Object.values(initFlags), args);
  return {
    podIp: readFlag(texts, initFlags.podIp),
    hostIp: readFlag(texts, initFlags.hostIp),
    blockWireServer: readFlag(texts, initFlags.blockWireServer),
    iptables: readFlag(texts, initFlags.iptables),
  };
}

export function readWaitSettings(args: readonly string[]) {
  const texts = readArguments(Object.values(waitFlags), args);
  return { listen: readFlag(texts, waitFlags.listen), timeoutMs: readFlag(texts, waitFlags.timeout) * 1000 };
}

export function readProxySettings(args: readonly string[]) {
  const texts = readArguments(Object.values(proxyFlags), args);
  const brokerCa = readFlag(texts, proxyFlags.brokerCa);
  const brokerCaFile = readFlag(texts, proxyFlags.brokerCaFile);
  const ca = brokerCa !== undefined ? { pem: brokerCa } : brokerCaFile !== undefined ? { file: brokerCaFile } : undefined;
  if (ca === undefined || (brokerCa !== undefined && brokerCaFile !== undefined)) {
    throw new UsageError('the CA of the broker is needed once: --broker-ca with PEM certificates, or --broker-ca-file with a file of them');
  }
  return {
    listen: readFlag(texts, proxyFlags.listen),
    metricsListen: readFlag(texts, proxyFlags.metricsListen),
    imdsUrl: new URL(readFlag(texts, proxyFlags.imdsUrl)).origin,
    broker: {
      url: new URL(readFlag(texts, proxyFlags.brokerUrl)).origin,
      address: readFlag(texts, proxyFlags.brokerAddress),
      ca,
      tokenFile: readFlag(texts, proxyFlags.brokerTokenFile),
    },
    requestDeadlineMs: readFlag(texts, proxyFlags.requestDeadline) * 1000,
    unknownIdentityMs: readFlag(texts, proxyFlags.unknownIdentityTimeout) * 1000,
    identityTtlMs: readFlag(texts, proxyFlags.identityTtl) * 1000,
    identityHeader: readFlag(texts, proxyFlags.identityHeader),
    blockInstanceMetadata: readFlag(texts, proxyFlags.blockInstanceMetadata),
    mode: readFlag(texts, proxyFlags.mode),
    logLevel: readFlag(texts, proxyFlags.logLevel),
  };
}

/** `host:port`, an IPv6 host in brackets. */
export function parseAddress(value: string): { hostname: string; port: number } | undefined {
  const [, bracketed, plain, port = ''] = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(value) ?? [];
  const hostname = bracketed ?? plain;
  return hostname !== undefined && Number(port) <= 65_535 ? { hostname, port: Number(port) } : undefined;
}

function isIp(value: string): boolean {
  return /^\d+\.\d+\.\d+\.\d+$/.test(value)
    ? URL.canParse(`http://${value}`)
    : /^[0-9A-Fa-f:.]+$/.test(value) && URL.canParse(`http://[${value}]`);
}

function isBaseUrl(value: string, protocol: string): boolean {
  const url = URL.parse(value);
  return url !== null && url.protocol === protocol && url.pathname === '/' && url.search === '' && url.username === '' && url.hash === '';
}

export function isPem(value: string): boolean {
  return /-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----/.test(value);
}
