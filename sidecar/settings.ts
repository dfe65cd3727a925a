// The flags of `init`, `proxy`, `wait` and `host`, and their values. The sidecar reads no environment variable: every Service of a namespace puts
// variables into its pods, and one of them could have the name of a setting.
import { imdsAddress, proxyPort } from '../api/names.ts';
import { parseAddress } from '../common/address.ts';
import { logFormats } from '../common/log-format.ts';
import { logLevels } from '../common/log-levels.ts';
import { boolean, choice, number, optional, parseOptions, SettingsError, text } from '../common/options.ts';

const ip = { form: 'an IP address, from the downward API', accepts: isIp };
const address = { form: 'host:port', accepts: (value: string) => (parseAddress(value)?.host ?? '') !== '' };
const notEmpty = /./;
const logFormat = choice(logFormats, { description: 'how log records are written', default: 'json' });
const proxyAddress = `127.0.0.1:${proxyPort}`;

export const initOptions = {
  podIp: text({ description: 'status.podIP', ...ip }),
  hostIp: text({ description: 'status.hostIP', ...ip }),
  denyImds: boolean({ description: 'reject 169.254.169.254 tcp 80 for all users instead of redirecting it', default: false }),
  // The flag has been --block-wireserver from the start, and its name follows from this one.
  blockWireserver: boolean({ description: 'reject 168.63.129.16 tcp 80 and 32526', default: false }),
  iptables: choice(['nft', 'legacy'], { description: 'backend', default: 'nft' }),
  logFormat,
};

export const waitOptions = {
  listen: text({ description: 'address of the proxy', ...address, default: proxyAddress }),
  timeout: number({ description: 'how long to wait', unit: 'seconds', default: 30, min: 1, max: 3600 }),
};

export const tryTokenOptions = {
  listen: waitOptions.listen,
  resource: text({ description: 'for which resource', pattern: notEmpty }),
  timeout: number({ description: 'how long to wait', unit: 'seconds', default: 50, min: 1, max: 3600 }),
};

const imdsUrl = text({
  description: 'the instance metadata service',
  form: 'an http URL without a path',
  accepts: (value) => isOrigin(value, 'http:'),
  default: `http://${imdsAddress}`,
});
const brokerUrl = text({
  description: 'the identity broker',
  form: 'an https URL without a path',
  accepts: (value) => isOrigin(value, 'https:'),
});
const requestDeadline = number({ description: 'longest time that a request waits', unit: 'seconds', default: 45, min: 1, max: 200 });
const logLevel = choice(logLevels, { description: 'least level that is logged', default: 'info' });

export const hostOptions = {
  port: number({ description: 'port on the loopback addresses of the node', default: proxyPort, min: 1, max: 65_535 }),
  imdsUrl,
  brokerUrl,
  brokerIp: optional(text({ description: "tried before the URL's own name", form: 'an IP address', accepts: isIp })),
  brokerCaFile: text({ description: 'CA of the broker', form: 'a file of PEM certificates', pattern: notEmpty }),
  brokerTokenFile: text({ description: 'the token that authenticates this pod to the broker', form: 'a file', pattern: notEmpty }),
  requestDeadline,
  logLevel,
  logFormat,
};

export const proxyOptions = {
  listen: text({ description: 'where applications are served', ...address, default: proxyAddress }),
  imdsUrl,
  brokerUrl,
  brokerAddress: optional(text({ description: "tried before the URL's own name", ...address })),
  brokerCa: optional(text({ description: 'CA of the broker, inline', form: 'PEM certificates', accepts: isPem })),
  brokerCaFile: optional(text({ description: 'CA of the broker', form: 'a file of PEM certificates', pattern: notEmpty })),
  brokerTokenFile: text({ description: 'the token that authenticates this pod to the broker', form: 'a file', pattern: notEmpty }),
  requestDeadline,
  unknownIdentityTimeout: number({
    description: 'how long a request waits for an identity that is not bound',
    unit: 'seconds',
    default: 5,
    max: 200,
  }),
  identityTtl: number({
    description: 'how long identities stay valid without the broker',
    unit: 'seconds',
    default: 86_400,
    min: 1,
    max: 31_536_000,
  }),
  metricsListen: optional(
    text({
      description: 'where /metrics and /healthz are served, without a host on every address; off when absent',
      form: 'host:port or :port',
      accepts: (value) => parseAddress(value) !== undefined,
    }),
  ),
  identityHeader: optional(
    text({
      description: 'serves /msi/token, for pods without a redirect, to callers with this X-IDENTITY-HEADER; off when absent',
      pattern: notEmpty,
    }),
  ),
  blockInstanceMetadata: boolean({ description: 'answer /metadata/instance with 403', default: false }),
  allowEventApproval: boolean({ description: 'pass POST /metadata/scheduledevents on; without it the answer is 403', default: false }),
  mode: choice(['native', 'classic'], { description: 'how the pod carries this container', default: 'native' }),
  logLevel,
  logFormat,
};

export type InitSettings = ReturnType<typeof readInitSettings>;
export type ProxySettings = ReturnType<typeof readProxySettings>;
export type HostSettings = ReturnType<typeof readHostSettings>;

export function readInitSettings(args: readonly string[]) {
  const { blockWireserver: blockWireServer, ...values } = parseOptions(initOptions, args);
  return { ...values, blockWireServer };
}

export function readWaitSettings(args: readonly string[]) {
  const { listen, timeout } = parseOptions(waitOptions, args);
  return { address: listen, timeoutMs: timeout * 1000 };
}

export function readTryTokenSettings(args: readonly string[]) {
  const { listen, timeout, resource } = parseOptions(tryTokenOptions, args);
  return { address: listen, timeoutMs: timeout * 1000, resource };
}

export function readProxySettings(args: readonly string[]) {
  const values = parseOptions(proxyOptions, args);
  return {
    listen: values.listen,
    metricsListen: values.metricsListen,
    imdsUrl: new URL(values.imdsUrl).origin,
    broker: {
      url: new URL(values.brokerUrl).origin,
      address: values.brokerAddress,
      ca: readCa(values),
      tokenFile: values.brokerTokenFile,
    },
    requestDeadlineMs: values.requestDeadline * 1000,
    unknownIdentityMs: values.unknownIdentityTimeout * 1000,
    identityTtlMs: values.identityTtl * 1000,
    identityHeader: values.identityHeader,
    blockInstanceMetadata: values.blockInstanceMetadata,
    allowEventApproval: values.allowEventApproval,
    mode: values.mode,
    logLevel: values.logLevel,
    logFormat: values.logFormat,
  };
}

export function readHostSettings(args: readonly string[]) {
  const values = parseOptions(hostOptions, args);
  const url = new URL(values.brokerUrl);
  return {
    port: values.port,
    imdsUrl: new URL(values.imdsUrl).origin,
    broker: {
      url: url.origin,
      address: values.brokerIp === undefined ? undefined : addressOf(values.brokerIp, url.port || '443'),
      caFile: values.brokerCaFile,
      tokenFile: values.brokerTokenFile,
    },
    requestDeadlineMs: values.requestDeadline * 1000,
    logLevel: values.logLevel,
    logFormat: values.logFormat,
  };
}

const addressOf = (ip: string, port: string): string => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`);

function readCa({ brokerCa, brokerCaFile }: { brokerCa: string | undefined; brokerCaFile: string | undefined }) {
  if (brokerCa !== undefined && brokerCaFile === undefined) return { pem: brokerCa };
  if (brokerCa === undefined && brokerCaFile !== undefined) return { file: brokerCaFile };
  const given = brokerCa === undefined ? 'missing' : 'given twice';
  throw new SettingsError(
    `the CA of the broker is ${given}: accepted is either --broker-ca with PEM certificates or --broker-ca-file with a file of them`,
  );
}

function isIp(value: string): boolean {
  return /^\d+\.\d+\.\d+\.\d+$/.test(value)
    ? URL.canParse(`http://${value}`)
    : /^[0-9A-Fa-f:.]+$/.test(value) && URL.canParse(`http://[${value}]`);
}

function isOrigin(value: string, protocol: string): boolean {
  const url = URL.parse(value);
  return url !== null && url.protocol === protocol && url.pathname === '/' && url.search === '' && url.username === '' && url.hash === '';
}

export function isPem(value: string): boolean {
  return /-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----/.test(value);
}
