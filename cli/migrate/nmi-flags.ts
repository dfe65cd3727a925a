// What becomes of NMI's flags (docs/reference/aad-pod-identity.md). Those of MIC are in lib/upstream/mic-flags.ts, since our controller takes them.

interface NmiFlag {
  /** In any spelling of Go. */
  boolean?: true;
  /** What NMI takes without it, and what its chart gives. */
  defaults: readonly string[];
  /** The chart value of ours that does the same. */
  ours?: string;
  /** Why it has no effect. */
  why?: string;
}

const noLog = 'the token proxy has settings of its own: sidecar.proxyLogLevel and logFormat';
const noEndpoint = 'each pod has a token proxy of its own';
const waits = 'a token request waits for its identity up to 45 s';
const noPlugin = 'nothing depends on the network plugin, since no pod is known by its address';

export const nmiFlags: Readonly<Record<string, NmiFlag>> = {
  forceNamespaced: { boolean: true, defaults: ['false'], ours: 'forceNamespaced' },
  'operation-mode': { defaults: ['standard'], ours: 'operationMode' },
  'block-instance-metadata': { boolean: true, defaults: ['false'], ours: 'sidecar.blockInstanceMetadata' },
  'custom-user-agent': { defaults: [''], ours: 'customUserAgent' },
  node: { defaults: [], why: noEndpoint },
  version: { boolean: true, defaults: ['false'], why: noEndpoint },
  'nmi-listen-address': { defaults: ['127.0.0.1'], why: noEndpoint },
  'nmi-port': { defaults: ['2579'], why: noEndpoint },
  'metadata-ip': { defaults: ['169.254.169.254'], why: noEndpoint },
  'metadata-port': { defaults: ['80'], why: noEndpoint },
  enableProfile: { boolean: true, defaults: ['false'], why: noEndpoint },
  'ipt-update-interval-sec': { defaults: ['60'], why: 'each pod has packet rules of its own, made before its containers start' },
  MICNamespace: { defaults: ['default'], why: 'no pod is served by its namespace alone' },
  'http-probe-port': { defaults: ['8080', '8085'], why: 'the sidecars open no port on nodes' },
  'prometheus-port': { defaults: ['9090'], why: 'the sidecars open no port unless the value sidecar.proxyMetricsPort says so' },
  'retry-attempts-for-created': { defaults: ['16'], why: waits },
  'retry-attempts-for-assigned': { defaults: ['4'], why: waits },
  'find-identity-retry-interval': { defaults: ['5'], why: waits },
  enableScaleFeatures: { boolean: true, defaults: ['true', 'false'], why: 'each sidecar gets the identities of its own pod only' },
  'metadata-header-required': { boolean: true, defaults: ['true'], why: 'the header Metadata is always required' },
  'allow-network-plugin-kubenet': { boolean: true, defaults: ['false'], why: noPlugin },
  'kubelet-config': { defaults: ['/etc/default/kubelet'], why: noPlugin },
  'set-retry-after-header': { boolean: true, defaults: ['false'], why: 'every 429 and 503 has the header Retry-After' },
  'enable-conntrack-deletion': { boolean: true, defaults: ['false'], why: 'the packet rules are there before the pod has a connection' },
  'log-format': { defaults: ['text'], why: noLog },
  v: { defaults: ['0'], why: noLog },
  logtostderr: { boolean: true, defaults: ['true', 'false'], why: noLog },
  alsologtostderr: { boolean: true, defaults: ['false'], why: noLog },
  log_dir: { defaults: [''], why: noLog },
  log_file: { defaults: [''], why: noLog },
  log_file_max_size: { defaults: [], why: noLog },
  stderrthreshold: { defaults: [], why: noLog },
  vmodule: { defaults: [], why: noLog },
  skip_headers: { boolean: true, defaults: ['false'], why: noLog },
  skip_log_headers: { boolean: true, defaults: ['false'], why: noLog },
  one_output: { boolean: true, defaults: ['false'], why: noLog },
  add_dir_header: { boolean: true, defaults: ['false'], why: noLog },
  log_backtrace_at: { defaults: [], why: noLog },
};
