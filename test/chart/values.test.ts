// What people can set: everything reaches the programs, and a mistake is refused with its name.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { loadYaml as load } from '@kubernetes/client-node';
import { parse } from 'yaml';
import { settings as brokerSettings } from '../../broker/settings.ts';
import { translateFormerNames } from '../../controller/former-names.ts';
import { checkLeaseTimes, settings as controllerSettings } from '../../controller/settings.ts';
import { chartValueOf } from '../../lib/chart-values.ts';
import { at, stringAt } from '../../lib/kube/objects.ts';
import { parseSettings, SettingsError, variableOf } from '../../lib/settings.ts';
import { settings as webhookSettings } from '../../webhook/settings.ts';
import type { KubeObject } from './render.ts';
import { chart, environmentOf, find, podOf, render, template } from './render.ts';

const controller = 'aad-pod-identity-controller';
const broker = 'aad-pod-identity-broker';
const webhook = 'aad-pod-identity-webhook';
const schema: unknown = JSON.parse(readFileSync(path.join(chart, 'values.schema.json'), 'utf8'));
const keysOf = (...at_: string[]): string[] => Object.keys((at(schema, ...at_) ?? {}) as object);

const everySetting = path.join(import.meta.dirname, 'every-setting.json');
/** Sections of values for one program each, beside `shared` ones for controller and broker. Scopes are the controller's alone. */
const {
  controller: forController,
  broker: forBroker,
  webhook: forWebhook,
  sidecar,
  azureScopes,
  federation,
  ...alike
} = JSON.parse(readFileSync(everySetting, 'utf8')) as Record<string, object>;
/** Of the section `federation`, whose name is a part of the settings' names. */
const ofFederation = Object.fromEntries(
  Object.entries(federation ?? {}).map(([key, value]) => [`federation${key.charAt(0).toUpperCase()}${key.slice(1)}`, value as unknown]),
);
const { federationManageCredentials, ...federationOfBoth } = ofFederation;
const shared = { ...alike, ...federationOfBoth };
const sections = {
  controller: { ...forController, azureScopes, federationManageCredentials },
  broker: forBroker,
  webhook: forWebhook,
  sidecar,
};

describe('values', () => {
  it('of one replica make no disruption budget', async () => {
    const objects = await render('--set', 'webhook.replicas=1,controller.replicas=1,broker.replicas=1');
    assert.equal(
      objects.some((one) => one.kind === 'PodDisruptionBudget'),
      false,
    );
  });

  it('have every setting of a program, under the name that its errors give', () => {
    const placement = ['replicas', 'resources', 'nodeSelector', 'tolerations', 'affinity', 'topologySpreadConstraints'];
    const ofChart = [
      ...[...placement, 'priorityClassName', 'podAnnotations', 'podLabels', 'timeoutSeconds', 'namespaceSelectorExpressions'],
      'identityLinger',
    ];
    const named = Object.entries({ controller: controllerSettings, broker: brokerSettings, webhook: webhookSettings }).flatMap(
      ([program, table]) => Object.keys(table).flatMap((setting) => chartValueOf(program, setting)?.split(' or ') ?? []),
    );
    for (const value of named)
      assert.notEqual(at(schema, 'properties', ...value.replaceAll('.', '.properties.').split('.')), undefined, value);
    for (const section of ['controller', 'broker', 'webhook', 'sidecar', 'federation'])
      for (const key of keysOf('properties', section, 'properties'))
        assert.ok(ofChart.includes(key) || named.includes(`${section}.${key}`), `${section}.${key} is no setting`);
  });

  it('show the default of the program in the comments of values.yaml', () => {
    const shown: Record<string, string> = {};
    let section = '';
    for (const line of readFileSync(path.join(chart, 'values.yaml'), 'utf8').split('\n')) {
      section = /^(\w+):/.exec(line)?.[1] ?? section;
      const [, setting, value = ''] = /^ {2}# (\w+): (.+)$/.exec(line) ?? [];
      if (setting !== undefined) shown[`${section}.${setting}`] = value;
    }
    let compared = 0;
    for (const [program, table] of Object.entries({ controller: controllerSettings, broker: brokerSettings, webhook: webhookSettings }))
      for (const [setting, { fallback }] of Object.entries<{ fallback?: unknown }>(table)) {
        const value = chartValueOf(program, setting);
        if (value === undefined || !(value in shown) || value.startsWith('adminsecret.')) continue;
        assert.deepEqual(parse(shown[value] ?? ''), fallback, value);
        compared += 1;
      }
    assert.ok(compared > 40, `${compared}`);
  });

  it('reach each program under the name that it reads', async () => {
    const objects = await render('--values', everySetting);
    for (const [deployment, table, given] of [
      [controller, controllerSettings, { ...shared, ...sections.controller }],
      [broker, brokerSettings, { ...shared, ...sections.broker }],
      [webhook, webhookSettings, { ...sections.webhook, ...sections.sidecar, logFormat: alike.logFormat }],
    ] as const) {
      const environment = environmentOf(objects, deployment);
      const parsed = parseSettings(table, [], environment) as Record<string, unknown>;
      for (const [name, value] of Object.entries(given)) {
        assert.ok(variableOf(name) in environment, `${deployment}: ${variableOf(name)} is not set`);
        assert.deepEqual(parsed[name], value, name);
      }
    }
  });

  it('take images by digest', async () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const objects = await render('--set', `image.controlPlane.digest=${digest},image.sidecar.repository=r/s,image.sidecar.tag=t`);
    const [container] = podOf(objects, webhook).spec.containers as { image: string }[];
    assert.equal(container?.image, `registry.test/control-plane@${digest}`);
    assert.equal(environmentOf(objects, webhook).SIDECAR_IMAGE, 'r/s:t');
  });

  it('pass on which images and variables other admission may set', async () => {
    const set = 'image.sidecar.allowedRewrites={m.test:5000/a/*:*,m.test/s@sha256:*},sidecar.allowedEnv={DD_AGENT_HOST}';
    const parsed = parseSettings(webhookSettings, [], environmentOf(await render('--set', set), webhook));
    assert.deepEqual(parsed.sidecarAllowedRewrites, ['m.test:5000/a/*:*', 'm.test/s@sha256:*']);
    assert.deepEqual(parsed.allowedEnv, ['DD_AGENT_HOST']);
    assert.deepEqual(parseSettings(webhookSettings, [], {}).sidecarAllowedRewrites, []);
  });

  it('tell webhook and controller one hash of what sidecar.* injects', async () => {
    const hashOf = async (set: string) => {
      const objects = await render('--set', set);
      const hashes = [webhook, controller].map((name) => environmentOf(objects, name).SIDECAR_SETTINGS_HASH);
      assert.match(hashes[0] ?? '', /^[0-9a-f]{16}$/);
      assert.equal(hashes[0], hashes[1]);
      return hashes[0];
    };
    const usual = await hashOf('webhook.logLevel=debug');
    for (const set of ['sidecar.proxyLogLevel=debug', 'image.sidecar.tag=next', 'image.sidecar.pullPolicy=Always'])
      assert.notEqual(await hashOf(set), usual, set);
    for (const set of ['controller.logLevel=debug', 'sidecar.allowedEnv={HTTP_PROXY}', 'image.sidecar.allowedRewrites={m.test/s:*}'])
      assert.equal(await hashOf(set), usual, set);
  });

  it('take the former name of a setting, which the program translates', async () => {
    for (const set of ['controller.identityLinger=0', 'controller.identityLinger=0,controller.identityDetachDelay=0']) {
      const env = environmentOf(await render('--set', set), controller);
      const translated = translateFormerNames({ argv: [], env, notes: [] });
      assert.equal(parseSettings(controllerSettings, [], translated.env).identityDetachDelay, 0);
      assert.equal(translated.notes.length, 1);
    }
  });

  const refused: [name: string, set: string, says: RegExp][] = [
    ['a misspelt section', 'controler.replicas=1', /controler/],
    ['a misspelt setting', 'controller.identitydetachdelay=1', /identitydetachdelay/],
    ['a text where a number belongs', 'controller.identityDetachDelay=soon', /identityDetachDelay/],
    [
      'two values of one setting under two names',
      'controller.identityLinger=1,controller.identityDetachDelay=2',
      /identityLinger is 1 and controller\.identityDetachDelay is 2: .* set controller\.identityDetachDelay alone/,
    ],
    ['a value outside its list', 'sidecar.nativeSidecar=maybe', /nativeSidecar/],
    ['a time-out that the API server refuses', 'webhook.timeoutSeconds=31', /timeoutSeconds/],
    ['no replicas', 'webhook.replicas=0', /replicas/],
    ['our own label on our own pods', 'webhook.podLabels.aadpodidbinding=x', /podLabels/],
    ['a softer failure policy', 'webhook.failurePolicy=Ignore', /failurePolicy/],
    ['an image without its name', 'image.sidecar.repository=', /set image\.sidecar\.repository, such as --set image/],
    ['a tag in the name of an image', 'image.sidecar.repository=r:5000/s:1', /is "r:5000\/s:1".* image\.sidecar\.tag/],
    ['a digest in the name of an image', 'image.controlPlane.repository=r/c@sha256:0', /image\.controlPlane\.digest/],
    ['an URL as the name of an image', 'image.sidecar.repository=https://r/s', /repository/],
    ['a section without a value', 'networkPolicy=null', /missing property 'networkPolicy'/],
    ['values of a release that had no such section', 'uninstall=null', /missing property 'uninstall'/],
    ['a CIDR that is none', 'networkPolicy.apiServerCIDRs={10.0.0.1}', /apiServerCIDRs/],
    ['a namespace for metrics that is no name', 'networkPolicy.metricsNamespaces={*}', /metricsNamespaces/],
    ['a relative path of azure.json', 'controller.cloudConfig=azure.json', /cloudConfig/],
    ['a label by which a Deployment finds its pods', 'webhook.podLabels.app\\.kubernetes\\.io/component=x', /podLabels/],
    ['a pattern of images for any registry', 'image.sidecar.allowedRewrites={*/sidecar:1}', /allowedRewrites/],
    ['a pattern of images without a registry', 'image.sidecar.allowedRewrites={*}', /allowedRewrites/],
    ['a variable that is no name', 'sidecar.allowedEnv={A=B}', /allowedEnv/],
    ['a digest that is none', 'image.sidecar.digest=latest', /digest/],
    ['our own label on our own pods', 'broker.podLabels.aadpodidbinding=x', /podLabels/],
    ['AzureStackCloud without its Entra', 'adminsecret.cloud=AzureStackCloud', /entraEndpoint is required/],
    ['a certificate without its Secret', 'adminsecret.useCertificate=true', /existingSecret is required/],
    ['a binding namespace that is no name', 'bindingNamespaces={Team_A}', /bindingNamespaces/],
    ['an assignment that is none', 'assignment=attached', /assignment/],
    ['an audience with blanks', 'federation.audience=a b', /audience/],
    ['a policy that is not a list', 'identityPolicy.namespaces=team', /identityPolicy/],
    ['a policy without a value', 'identityPolicy=null', /identityPolicy/],
    ['an empty entry of a policy', 'identityPolicy[0]=', /identityPolicy/],
    ['a misspelt list of a policy', 'identityPolicy[0].resourceIds[0]=/x', /resourceIds/],
    ['a resource id of a policy that is none', 'identityPolicy[0].resourceIDs[0]=/subscriptions/s', /resourceIDs/],
    ['an operator that does not exist', 'identityPolicy[0].namespaces.matchExpressions[0].operator=Is', /namespaces/],
    ['a scale set as a scope', 'azureScopes[0]=/subscriptions/s/resourceGroups/g/providers/x', /azureScopes/],
    ['a namespace of Secrets that is no name', 'rbac.secretNamespaces={Team}', /secretNamespaces/],
    ['an identity without binding', 'azureIdentities.a.resourceID=/x', /binding/],
  ];
  for (const [name, set, says] of refused)
    it(`refuse ${name}`, async () => {
      const { code, stderr } = await template('--set', set);
      assert.notEqual(code, 0);
      assert.match(stderr, says);
    });
});

describe('values for images', () => {
  it('are asked for in one message when there are none', async () => {
    const { code, stderr } = await template('--set', 'image.controlPlane.repository=,image.sidecar.repository=');
    assert.notEqual(code, 0);
    assert.match(stderr, /section "Images" of docs\/install\.md/);
    assert.match(stderr, /set image\.controlPlane\.repository and image\.sidecar\.repository, such as --set/);
    const page = readFileSync(path.resolve(chart, '../../docs/install.md'), 'utf8');
    assert.match(page, /^## Images$/m);
  });

  it('are empty in values.yaml, since anybody may own a name in a public registry', () => {
    const { image } = load(readFileSync(path.join(chart, 'values.yaml'), 'utf8')) as { image: Record<string, { repository: string }> };
    assert.deepEqual(
      Object.values(image).map(({ repository }) => repository),
      ['', ''],
    );
  });
});

describe('lease times', () => {
  const fallback = {
    leaseDuration: controllerSettings.leaseDuration.fallback ?? 0,
    leaseRenew: controllerSettings.leaseRenew.fallback ?? 0,
    leaseRetry: controllerSettings.leaseRetry.fallback ?? 0,
  };
  const { leaseDuration, leaseRenew, leaseRetry } = fallback;
  const cases: [set: Partial<typeof fallback>, refused: RegExp | undefined][] = [
    [{ leaseRenew: leaseDuration }, /controller\.leaseRenew is 10: .* controller\.leaseDuration, which is 10/],
    [{ leaseRenew: leaseDuration - 1 }, undefined],
    [{ leaseDuration: leaseRenew }, /controller\.leaseRenew is 7: .* which is 7/],
    [{ leaseDuration: leaseRenew + 1 }, undefined],
    [{ leaseRetry: leaseRenew }, /controller\.leaseRetry is 7: .* controller\.leaseRenew, which is 7/],
    [{ leaseRetry: leaseRenew - 1 }, undefined],
    [{ leaseRenew: leaseRetry }, /controller\.leaseRetry is 2: .* which is 2/],
    [{ leaseDuration: 30, leaseRenew: 20, leaseRetry: 19 }, undefined],
  ];
  for (const [set, refused] of cases) {
    const text = JSON.stringify(set);
    it(`are ${refused === undefined ? 'accepted' : 'refused'} as ${text}, by chart and program alike`, async () => {
      const { code, stderr } = await template('--set-json', `controller=${text}`);
      const start = () => checkLeaseTimes({ ...fallback, ...set });
      if (refused === undefined) {
        assert.equal(code, 0, stderr);
        start();
      } else {
        assert.match(stderr, refused);
        assert.throws(start, SettingsError);
      }
    });
  }
});

describe('identityPolicy', () => {
  const variable = async (...flags: string[]) => {
    const objects = await render(...flags);
    return [controller, broker].map((name) => environmentOf(objects, name).IDENTITY_POLICY);
  };

  it('is not set unless it is given, and an empty list is given', async () => {
    assert.deepEqual(await variable(), [undefined, undefined]);
    assert.deepEqual(await variable('--set-json', 'identityPolicy=[]'), ['[]', '[]']);
  });

  it('grants the watch of namespaces only where it selects them by labels', async () => {
    const mayWatch = async (set: string) => {
      const objects = await render('--set', set);
      return [controller, broker].map((name) => JSON.stringify(find(objects, 'ClusterRole', name).rules).includes('"namespaces"'));
    };
    assert.deepEqual(await mayWatch('identityPolicy[0].namespaces[0]=team'), [false, false]);
    assert.deepEqual(await mayWatch('identityPolicy[0].namespaces.matchLabels.team=a'), [true, true]);
  });
});

describe('credentials', () => {
  const application = 'adminsecret.tenantID=t,adminsecret.clientID=c';
  /** Without the managed identity that other tests sign in with. */
  const none = 'adminsecret.useMSI=false';
  const signIn = async (...sets: string[]) => {
    const objects = await render(...[none, ...sets].flatMap((set) => ['--set', set]));
    const { spec } = podOf(objects, controller);
    return {
      objects,
      environment: environmentOf(objects, controller),
      spec,
      volumes: ((spec.volumes ?? []) as { name: string }[]).map((volume) => volume.name),
    };
  };

  it('give a client secret to the controller as a file of a Secret', async () => {
    const { objects, environment, volumes } = await signIn(
      'adminsecret.tenantID=t',
      'adminsecret.clientID=c',
      'adminsecret.clientSecret=s3cret',
      'adminsecret.cloud=AzureChinaCloud',
    );
    assert.equal(environmentOf(objects, broker).CLOUD, 'AzureChinaCloud');
    assert.doesNotMatch(JSON.stringify(podOf(objects, broker)), /TENANT_ID|CLIENT|credential/);
    assert.equal(stringAt(find(objects, 'Secret', controller), 'data', 'clientSecret'), Buffer.from('s3cret').toString('base64'));
    const { TENANT_ID, CLIENT_ID, CLIENT_SECRET_FILE, CLOUD } = environment;
    assert.deepEqual(
      { TENANT_ID, CLIENT_ID, CLIENT_SECRET_FILE, CLOUD },
      { TENANT_ID: 't', CLIENT_ID: 'c', CLIENT_SECRET_FILE: '/etc/aad-pod-identity/credential/clientSecret', CLOUD: 'AzureChinaCloud' },
    );
    assert.deepEqual(volumes, ['broker-token', 'credential']);
    assert.doesNotMatch(JSON.stringify(podOf(objects, controller)), /s3cret/);
  });

  it('take an existing Secret, also with a certificate', async () => {
    const { objects, environment } = await signIn(`${application},adminsecret.existingSecret=mine,adminsecret.useCertificate=true`);
    assert.equal(
      objects.some((one) => one.kind === 'Secret'),
      false,
    );
    assert.equal(environment.CLIENT_CERTIFICATE_FILE, '/etc/aad-pod-identity/credential/clientCertificate');
    assert.equal('CLIENT_SECRET_FILE' in environment, false);
    assert.match(JSON.stringify(podOf(objects, controller).spec.volumes), /"secretName":"mine"/);
  });

  it('take a managed identity in both spellings of aad-pod-identity', async () => {
    for (const set of ['adminsecret.clientID=msi,adminsecret.clientSecret=msi', 'adminsecret.useMSI=true']) {
      const { environment, volumes } = await signIn(set, 'adminsecret.userAssignedMSIClientID=u');
      assert.equal(environment.USE_MSI, 'true');
      assert.equal(environment.USER_ASSIGNED_MSI_CLIENT_ID, 'u');
      assert.equal('CLIENT_ID' in environment, false);
      assert.deepEqual(volumes, ['broker-token']);
    }
  });

  it('take workload identity, azure.json, the file of a cloud and further CAs', async () => {
    const federated = await signIn(application, 'adminsecret.workloadIdentity=true');
    assert.equal(federated.environment.FEDERATED_TOKEN_FILE, '/var/run/secrets/azure/tokens/azure-identity-token');
    assert.match(JSON.stringify(federated.spec.volumes), /api:\/\/AzureADTokenExchange/);
    const node = await signIn('controller.cloudConfig=/etc/kubernetes/azure.json');
    assert.equal(node.environment.CLOUD_CONFIG, '/etc/aad-pod-identity/azure.json');
    assert.equal(at(node.spec, 'securityContext', 'runAsUser'), 0);
    const stack = await signIn(
      'adminsecret.useMSI=true',
      'controller.azureEnvironmentFilepath=/etc/kubernetes/akscustom.json',
      'customUserAgent=fleet 7',
    );
    assert.equal(stack.environment.AZURE_ENVIRONMENT_FILEPATH, '/etc/aad-pod-identity/environment.json');
    assert.equal(stack.environment.CUSTOM_USER_AGENT, 'fleet 7');
    assert.equal('CLOUD_CONFIG' in stack.environment, false);
    assert.match(JSON.stringify(stack.spec.volumes), /"path":"\/etc\/kubernetes\/akscustom.json"/);
    assert.equal(at(stack.spec, 'securityContext', 'runAsUser'), 0);
    const trusting = await signIn('adminsecret.useMSI=true', 'extraCaCertificates=PEM');
    for (const name of [controller, broker]) {
      assert.equal(environmentOf(trusting.objects, name).AZURE_CA_FILE, '/etc/aad-pod-identity/ca/ca.crt');
      assert.match(JSON.stringify(podOf(trusting.objects, name).spec.volumes), /"name":"aad-pod-identity-azure-ca"/);
    }
    assert.equal(stringAt(find(trusting.objects, 'ConfigMap', 'aad-pod-identity-azure-ca'), 'data', 'ca.crt'), 'PEM');
  });

  it('start new pods when they change', async () => {
    const sums = await Promise.all(
      ['a', 'b'].map(async (secret) => {
        const { objects } = await signIn(application, `adminsecret.clientSecret=${secret}`);
        return podOf(objects, controller).annotations['checksum/config'];
      }),
    );
    assert.notEqual(sums[0], sums[1]);
  });

  it('are asked for by the names of all values that are one', async () => {
    const { code, stderr } = await template('--set', none);
    assert.notEqual(code, 0);
    assert.match(stderr, /no sign-in to Azure.*operationMode standard/);
    const named = ['useMSI', 'userAssignedMSIClientID', 'tenantID', 'clientID', 'clientSecret', 'existingSecret', 'workloadIdentity'];
    for (const value of [...named.map((key) => `adminsecret.${key}`), 'controller.cloudConfig']) assert.ok(stderr.includes(value), value);
  });

  const accepted: [name: string, values: object][] = [
    ['none in managed mode', { operationMode: 'managed' }],
    ['the label for the webhook of Azure Workload Identity', { controller: { podLabels: { 'azure.workload.identity/use': 'true' } } }],
    [
      'a Secret for the application of azure.json',
      { adminsecret: { existingSecret: 'mine' }, controller: { cloudConfig: '/etc/kubernetes/azure.json' } },
    ],
  ];
  for (const [name, values] of accepted)
    it(`are complete: ${name}`, async () => {
      await render('--set', none, ...Object.entries(values).flatMap(([key, value]) => ['--set-json', `${key}=${JSON.stringify(value)}`]));
    });

  const incomplete: [name: string, set: string, says: RegExp][] = [
    [
      'a secret without its tenant',
      'adminsecret.clientSecret=s,adminsecret.clientID=c',
      /adminsecret\.tenantID is required with .*clientSecret/,
    ],
    ['a Secret without its application', 'adminsecret.existingSecret=s,adminsecret.tenantID=t', /adminsecret\.clientID is required/],
    [
      'workload identity without its tenant',
      'adminsecret.workloadIdentity=true',
      /adminsecret\.tenantID is required with .*workloadIdentity/,
    ],
    [
      'two ways at once',
      'adminsecret.workloadIdentity=true,adminsecret.useMSI=true',
      /workloadIdentity and adminsecret\.useMSI .*one way to sign in/,
    ],
  ];
  for (const [name, set, says] of incomplete)
    it(`refuse as incomplete ${name}`, async () => {
      const { code, stderr } = await template('--set', `${none},${set}`);
      assert.notEqual(code, 0);
      assert.match(stderr, says);
    });
});

describe('rbac', () => {
  const isRole = (one: KubeObject) => /^(Cluster)?Role(Binding)?$/.test(String(one.kind));

  it('lets the broker read Secrets in the named namespaces only', async () => {
    const objects = await render('--set', 'rbac.secretNamespaces={team-a,team-b}');
    const roles = objects.filter((one) => isRole(one) && stringAt(one, 'metadata', 'name') === 'aad-pod-identity-broker-secrets');
    assert.deepEqual(
      roles.map((one) => `${String(one.kind)} ${stringAt(one, 'metadata', 'namespace')}`),
      ['Role team-a', 'Role team-b', 'RoleBinding team-a', 'RoleBinding team-b'],
    );
    assert.deepEqual(roles[0]?.rules, [{ apiGroups: [''], resources: ['secrets'], verbs: ['get'] }]);
    assert.deepEqual(roles[2]?.subjects, [{ kind: 'ServiceAccount', name: broker, namespace: 'system' }]);
    assert.doesNotMatch(JSON.stringify(find(objects, 'ClusterRole', broker).rules), /"secrets"/);
  });

  it('lets the broker read Secrets everywhere only where the value says so', async () => {
    const mayRead = async (...flags: string[]) =>
      JSON.stringify(find(await render(...flags), 'ClusterRole', broker).rules).includes('"secrets"');
    assert.deepEqual([await mayRead(), await mayRead('--set', 'rbac.allowAccessToSecrets=true')], [false, true]);
  });

  it('makes no role and no binding with create false, and keeps accounts and policies', async () => {
    const objects = await render('--set', 'rbac.create=false,rbac.secretNamespaces={team-a}');
    assert.deepEqual(objects.filter(isRole), []);
    assert.equal(objects.filter((one) => one.kind === 'ServiceAccount').length, 4);
    assert.ok(objects.some((one) => one.kind === 'ValidatingAdmissionPolicy'));
  });
});

describe('identities in values', () => {
  it('become an AzureIdentity and a binding, in the release namespace unless said', async () => {
    const objects = await render(
      '--set',
      'azureIdentities.a.resourceID=/r,azureIdentities.a.clientID=c,azureIdentities.a.binding.selector=s,azureIdentities.b.namespace=other,azureIdentities.b.name=n,azureIdentities.b.resourceID=/r,azureIdentities.b.binding.selector=s,azureIdentities.b.binding.name=bb',
    );
    assert.deepEqual(find(objects, 'AzureIdentity', 'a').spec, { type: 0, resourceID: '/r', clientID: 'c' });
    assert.deepEqual(find(objects, 'AzureIdentityBinding', 'a-binding').spec, { azureIdentity: 'a', selector: 's' });
    assert.equal(stringAt(find(objects, 'AzureIdentity', 'n'), 'metadata', 'namespace'), 'other');
    assert.deepEqual(find(objects, 'AzureIdentityBinding', 'bb').spec, { azureIdentity: 'n', selector: 's' });
  });

  it("of type 1 and 2 need a tenant and a Secret, the Secret also as upstream's text", async () => {
    const { code, stderr } = await template(
      '--set',
      'azureIdentities.a.type=1,azureIdentities.a.clientID=c,azureIdentities.a.binding.selector=s',
    );
    assert.notEqual(code, 0);
    assert.match(stderr, /azureIdentities\.a\.tenantID is required for types 1 to 3/);
    const objects = await render(
      '--set',
      'azureIdentities.a.type=1,azureIdentities.a.clientID=c,azureIdentities.a.tenantID=t,azureIdentities.a.binding.selector=s',
      '--set-string',
      'azureIdentities.a.clientPassword=\\{name: secret\\, namespace: team\\}',
    );
    assert.deepEqual(at(find(objects, 'AzureIdentity', 'a'), 'spec', 'clientPassword'), { name: 'secret', namespace: 'team' });
  });
});
