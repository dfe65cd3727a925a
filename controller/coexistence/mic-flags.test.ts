import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSettings, SettingsError } from '../../lib/settings.ts';
import { translateMicArguments } from '../../lib/upstream/mic-flags.ts';
import type { ControllerSettings } from '../settings.ts';
import { settings } from '../settings.ts';

const listed = '1111AAAA-0000-4000-8000-000000000001,2222bbbb-0000-4000-8000-000000000002';
const defaults = parseSettings(settings, [], {});

function read(argv: string[], env: Record<string, string> = {}): { changed: Partial<ControllerSettings>; notes: string[] } {
  const translated = translateMicArguments(argv, env);
  const values = parseSettings(settings, translated.argv, translated.env);
  const changed = Object.entries(values).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(defaults[name as keyof ControllerSettings]),
  );
  return { changed: Object.fromEntries(changed), notes: translated.notes };
}

/** Every flag that has an effect, with a value that is not its default. */
const meant: [string, Partial<ControllerSettings>][] = [
  ['--kubeconfig=/k', { kubeconfig: '/k' }],
  ['--cloudconfig=/etc/kubernetes/azure.json', { cloudConfig: '/etc/kubernetes/azure.json' }],
  ['--forceNamespaced', { forceNamespaced: true }],
  ['--forceNamespaced=T', { forceNamespaced: true }],
  ['--forceNamespaced=0', {}],
  ['--leader-election-instance=me', { instance: 'me' }],
  ['--leader-election-duration=30s', { leaseDuration: 30, leaseRenew: 15, leaseRetry: 7.5 }],
  ['--leader-election-duration=800ms', { leaseDuration: 0.8, leaseRenew: 0.4, leaseRetry: 0.2 }],
  ['--http-probe-port=8090', { probesListen: ':8090' }],
  ['--prometheus-port=8890', { metricsListen: ':8890' }],
  ['--createDeleteBatch=7', { createDeleteBatch: 7 }],
  ['--clientQps=5.5', { clientQps: 5.5 }],
  [`--immutable-user-msis=${listed}`, { immutableUserMsis: listed.split(',') }],
  ['--identity-assignment-reconcile-interval=1h0m30s', { identityAssignmentReconcileInterval: 3630 }],
  ['--identity-assignment-reconcile-interval=240', { identityAssignmentReconcileInterval: 240 }],
  ['--custom-user-agent=fleet 7', { customUserAgent: 'fleet 7' }],
  ['--log-format=json', {}],
  ['--log-format=text', { logFormat: 'text' }],
  ['-v=5', { logLevel: 'debug' }],
  ['--v=0', {}],
];

const withoutEffect = [
  '--syncRetryDuration=600s',
  '--leader-election-namespace=kube-system',
  '--leader-election-name=other',
  '--enableProfile',
  '--enableScaleFeatures=true',
  '--config-map-name=c',
  '--type-upgrade-status-key=k',
  '--enable-type-upgrade=false',
  '--update-user-msi-max-retry=3',
  '--update-user-msi-retry-interval=2s',
  '--logtostderr',
  '--alsologtostderr=true',
  '--log_dir=/tmp',
  '--log_file=/tmp/log',
  '--log_file_max_size=10',
  '--stderrthreshold=2',
  '--vmodule=a=1,b=2',
  '--skip_headers',
  '--skip_log_headers',
  '--one_output',
  '--add_dir_header',
  '--log_backtrace_at=file.go:1',
];

for (const [argument, expected] of meant)
  test(`translates the MIC flag ${argument.slice(0, 50)}`, () => assert.deepEqual(read([argument]), { changed: expected, notes: [] }));

for (const argument of withoutEffect)
  test(`ignores the MIC flag ${argument} with a note`, () => {
    const { changed, notes } = read([argument]);
    assert.deepEqual(changed, {});
    assert.equal(notes.length, 1);
    const [name = ''] = argument.split('=');
    assert.ok(notes[0]?.startsWith(`${name} of aad-pod-identity has no effect: `), notes.join());
  });

test('translates the MIC flag --version in every spelling of Go', () => {
  for (const argument of ['--version', '-version', '--version=true'])
    assert.deepEqual(translateMicArguments([argument], {}).argv, ['--version'], argument);
  assert.deepEqual(translateMicArguments(['--version=false'], {}).argv, []);
});

test('reads MIC flags with one dash or a separate value, mixed with our own', () => {
  const argv = [
    '-cloudconfig',
    '/c',
    '--forceNamespaced',
    '--identity-detach-delay',
    '7',
    '-v',
    '6',
    '--adopt-attached',
    'true',
    '--logtostderr',
  ];
  const { changed, notes } = read(argv);
  assert.deepEqual(changed, { cloudConfig: '/c', forceNamespaced: true, identityDetachDelay: 7, logLevel: 'debug', adoptAttached: true });
  assert.equal(notes.length, 1);
});

test('refuses a wrong value of a MIC flag with one line that names it', () => {
  const refused: [string[], RegExp][] = [
    [['--cloudconfig'], /^--cloudconfig has no value$/],
    [['--log-format=xml'], /^--log-format is 'xml': accepted is json \| text$/],
    [['-v=loud'], /^-v is 'loud'/],
    [['--forceNamespaced=yes'], /^--force-namespaced is 'yes'/],
    [['--leader-election-duration=soon'], /^--lease-duration is 'soon'/],
    [['--createDeleteBatch=0'], /^--create-delete-batch is '0'/],
    [['--custom-user-agent=a\nb'], /^--custom-user-agent is/],
    [['--no-such-flag'], /^unknown argument --no-such-flag/],
    [['--constructor=1'], /^unknown argument --constructor/],
  ];
  for (const [argv, expected] of refused) {
    assert.throws(
      () => read(argv),
      (error) => error instanceof SettingsError && expected.test(error.message),
      argv.join(' '),
    );
  }
});

test('translates the environment of a MIC where ours is not set', () => {
  const { changed, notes } = read([], {
    CLOUD: 'AzureChinaCloud',
    TENANT_ID: 't',
    CLIENT_ID: 'c',
    USE_MSI: 'True',
    USER_ASSIGNED_MSI_CLIENT_ID: 'u',
    FORCENAMESPACED: 'true',
    MIC_POD_NAMESPACE: 'kube-system',
  });
  assert.deepEqual(changed, {
    cloud: 'AzureChinaCloud',
    tenantId: 't',
    clientId: 'c',
    useMsi: true,
    userAssignedMsiClientId: 'u',
    forceNamespaced: true,
    namespace: 'kube-system',
  });
  assert.deepEqual(notes, []);
  assert.deepEqual(read([], { FORCENAMESPACED: 'True' }).changed, {}, 'only the exact text true counts');
  assert.deepEqual(read([], { MIC_POD_NAMESPACE: 'a', NAMESPACE: 'b' }).changed, { namespace: 'b' });
  assert.deepEqual(read([], { FORCENAMESPACED: 'true', FORCE_NAMESPACED: 'false' }).changed, {});
  const needless = read([], { SUBSCRIPTION_ID: 's', RESOURCE_GROUP: 'g', VM_TYPE: 'vmss' });
  assert.deepEqual(needless.changed, {});
  assert.equal(needless.notes.length, 3);
});
