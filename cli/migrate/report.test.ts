import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { changedObjects, objectsText } from './changed-objects.ts';
import { unknownIssuer } from './federation.ts';
import { inputOf } from './input.ts';
import { readManifests } from './manifests.ts';
import { migrationReport } from './report.ts';
import { addonStepTitles } from './steps.ts';
import { binding, deployment, exception, healthy, identity, mic, namespace, nmi, ofRelease, resourceIdOf } from './testing/fixtures.ts';

const issuer = 'https://issuer.example.com/';
const federate = { manageCredentials: true, issuer, releaseNamespace: 'aad-pod-identity' };
const report = (objects: readonly unknown[], options: Partial<Parameters<typeof migrationReport>[1]> = {}) =>
  migrationReport(inputOf(objects, 'default'), { reading: [], releaseNamespace: 'aad-pod-identity', federate: undefined, ...options });
const commands = (objects: readonly unknown[]) => report(objects).steps.flatMap((step) => step.commands);
const changed = (objects: readonly unknown[], options = { federate: false }) => changedObjects(inputOf(objects, 'default'), options);
const tight = namespace('team-a', { 'pod-security.kubernetes.io/enforce': 'restricted' }, { owner: 'a' });

describe('the values of a migrationReport', () => {
  it('are none where nothing was set', () => assert.deepEqual(report(healthy()).values, {}));

  it('place the programs where MIC ran, and the node endpoint where NMI ran', () => {
    const tolerations = [{ operator: 'Exists' }];
    const spec = {
      nodeSelector: { 'kubernetes.io/os': 'linux', pool: 'system' },
      tolerations,
      affinity: { podAntiAffinity: {}, nodeAffinity: { a: 1 } },
    };
    const volumes = [{ name: 'v', flexVolume: { driver: 'azure/kv' } }];
    const objects = [mic({ spec, labels: { fleet: 'a' }, replicas: 3 }), nmi({ spec: { tolerations } })];
    const placement = { nodeSelector: { pool: 'system' }, tolerations, affinity: { nodeAffinity: { a: 1 } } };
    assert.deepEqual(report(objects).values, { mic: { ...placement, podLabels: { fleet: 'a' }, replicas: 3 } });
    assert.deepEqual(report([...objects, deployment('vault', 'web', { volumes })]).values, {
      mic: { ...placement, podLabels: { fleet: 'a' }, replicas: 3 },
      nmi: { tolerations },
      nodeEndpoint: { enabled: true },
    });
  });

  it('let the controller attach what AKS attached, in the namespaces that AKS matched', () => {
    const args = ['--operation-mode=managed'];
    assert.deepEqual(report([nmi({ args })]).values, { operationMode: 'managed' });
    assert.deepEqual(report([nmi({ args, labels: { 'kubernetes.azure.com/managedby': 'aks' } })]).values, { forceNamespaced: true });
  });

  it('leave ClusterRoles to the release that has them', () => {
    const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'aad-pod-identity-view' } };
    assert.deepEqual(report([...healthy(), role]).values, { rbac: { userFacingClusterRoles: 'existing' } });
    assert.ok(commands([...healthy(), role]).some((command) => command.includes('rbac.userFacingClusterRoles=create')));
  });

  it('let the broker read Secrets where identities need one', () =>
    assert.deepEqual(report([identity('vault/sp', { type: 1 }), identity('vault/sp2', { type: 2 })]).values, {
      rbac: { secretNamespaces: ['vault'] },
    }));
});

describe('the steps of a migrationReport', () => {
  it('restart the workloads that get a token proxy by name, in each namespace', () => {
    const objects = [
      ...healthy(),
      deployment('api', 'web'),
      deployment('host', 'web', { hostNetwork: true }),
      deployment('kube-system/agent', 'web'),
    ];
    assert.deepEqual(
      commands(objects).filter((command) => command.startsWith('kubectl rollout')),
      ['kubectl rollout restart deployment/api deployment/web -n team-a'],
    );
  });

  it('annotate a namespace before its pods are made anew', () => {
    const found = commands([...healthy().filter((object) => JSON.stringify(object) !== JSON.stringify(namespace('team-a'))), tight]);
    const annotate = found.indexOf('kubectl annotate namespace team-a aadpodidentity.k8s.io/interception=none');
    assert.equal(found[annotate + 1], 'kubectl rollout restart deployment/web -n team-a');
  });

  it('begin with objects that the release made', () =>
    assert.deepEqual(commands([...healthy(), identity('made', {}, ofRelease)]).slice(0, 2), [
      'kubectl annotate azureidentity,azureidentitybinding -n team-a --all helm.sh/resource-policy=keep',
      'helm upgrade aad-pod-identity "$UPSTREAM_CHART" -n kube-system --values "$UPSTREAM_VALUES" --wait',
    ]));

  it('end a MIC with another lock before the install', () => {
    const found = commands([mic({ args: ['--leader-election-namespace=kube-system'] })]);
    assert.equal(found[0], 'kubectl scale deployment aad-pod-identity-mic -n kube-system --replicas=0');
    assert.match(found[1] ?? '', /^helm install /);
  });

  it('delete by name what Helm did not install, and use no values file of it', () => {
    const found = commands([mic({ release: false }), nmi({ release: false })]);
    assert.ok(found.includes('kubectl delete deployment aad-pod-identity-mic -n kube-system'));
    assert.ok(!found.some((command) => /helm uninstall|UPSTREAM_/.test(command)));
  });

  it('are those of another page for the add-on of AKS', () => {
    const labels = { 'kubernetes.azure.com/managedby': 'aks' };
    const { steps } = report([nmi({ release: false, labels }), identity('reader', {}, { labels }), identity('own')]);
    assert.deepEqual(
      steps.map(({ title }) => title),
      Object.values(addonStepTitles),
    );
    assert.deepEqual(steps[3]?.commands, [
      'az aks pod-identity delete --resource-group "$GROUP" --cluster-name "$CLUSTER" --namespace team-a --name reader',
    ]);
  });
});

describe('the federation of a migrationReport', () => {
  const objects = [...healthy(), identity('sp', { type: 1 }), identity('odd', { resourceID: 'x' })];

  it('is there with --federate only', () => assert.equal(report(objects).federation, undefined));

  it('annotates what can be federated last, and says why the rest cannot be', () => {
    const { federation, steps } = report(objects, { federate });
    const annotate = 'kubectl annotate azureidentity reader -n team-a aadpodidentity.k8s.io/assignment=federate --overwrite';
    assert.deepEqual(
      federation?.map((found) => [found.identity, 'code' in found ? found.code : found.commands]),
      [
        ['team-a/odd', 'InvalidResourceID'],
        ['team-a/reader', [annotate]],
        ['team-a/sp', 'NotFederable'],
      ],
    );
    assert.deepEqual(steps.at(-1)?.commands, [annotate]);
  });

  it('makes the credential by az where the controller does not', () => {
    const { federation = [] } = report([identity('reader')], { federate: { ...federate, manageCredentials: false } });
    const [found] = federation;
    assert.ok(found !== undefined && 'commands' in found);
    assert.match(
      found.commands[0] ?? '',
      /^az identity federated-credential create --name aad-pod-identity-[0-9a-f]{10} --identity-name reader .*--issuer 'https:\/\/issuer\.example\.com\/' --subject 'system:serviceaccount:aad-pod-identity:aad-pod-identity-broker' --audiences 'api:\/\/AzureADTokenExchange'$/,
    );
    assert.match(found.commands[1] ?? '', /^kubectl annotate /);
  });

  it('is broken by an issuer that Entra cannot reach, and not by one that is unknown', () => {
    const codes = (of: string) =>
      report(objects, { federate: { ...federate, issuer: of } })
        .sections.find(({ title }) => title === 'Federation')
        ?.findings.map(({ status }) => status);
    assert.deepEqual(codes('https://kubernetes.default.svc'), ['broken']);
    assert.equal(codes(unknownIssuer), undefined);
  });
});

describe('changedObjects', () => {
  it('has nothing where nothing changes', () => {
    assert.deepEqual(changed(healthy()), []);
    assert.equal(objectsText([]), '# Nothing is to be changed.\n');
  });

  it('has whole identities with the annotation, for --federate', () => {
    const done = { annotations: { 'aadpodidentity.k8s.io/assignment': 'federate' } };
    const last = { 'kubectl.kubernetes.io/last-applied-configuration': '{}' };
    const objects = [
      identity('reader', {}, { labels: { a: 'b' }, annotations: { own: 'c', ...last } }),
      identity('done', {}, done),
      identity('sp', { type: 1 }),
    ];
    assert.deepEqual(changed(objects, { federate: true }), [
      {
        apiVersion: 'aadpodidentity.k8s.io/v1',
        kind: 'AzureIdentity',
        metadata: {
          name: 'reader',
          namespace: 'team-a',
          labels: { a: 'b' },
          annotations: { own: 'c', 'aadpodidentity.k8s.io/assignment': 'federate' },
        },
        spec: { type: 0, resourceID: resourceIdOf('reader'), clientID: '11111111-0000-4000-8000-000000000001' },
      },
    ]);
  });

  it('has namespaces whose Pod Security refuses the redirect, whole', () =>
    assert.deepEqual(changed([tight, deployment('web', 'web')]), [
      {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: {
          name: 'team-a',
          labels: { 'pod-security.kubernetes.io/enforce': 'restricted' },
          annotations: { owner: 'a', 'aadpodidentity.k8s.io/interception': 'none' },
        },
      },
    ]));

  it('has the objects of the release, to be kept', () => {
    const objects = [mic(), identity('made', {}, ofRelease), binding('made', 'made', 'web', ofRelease), identity('own')];
    assert.deepEqual(
      changed(objects).map((object) => [
        Reflect.get(object, 'kind'),
        Reflect.get(Reflect.get(object, 'metadata').annotations, 'helm.sh/resource-policy'),
      ]),
      [
        ['AzureIdentity', 'keep'],
        ['AzureIdentityBinding', 'keep'],
      ],
    );
  });

  it('has every object without the labels of AKS, where the add-on runs', () => {
    const labels = { 'kubernetes.azure.com/managedby': 'aks', 'addonmanager.kubernetes.io/mode': 'Reconcile' };
    const objects = [
      identity('reader', {}, { labels: { ...labels, own: 'a' } }),
      binding('reader', 'reader', 'web'),
      exception('calm', { a: 'b' }),
    ];
    const found = changed(objects);
    assert.deepEqual(
      found.map((object) => Reflect.get(object, 'kind')),
      ['AzureIdentity', 'AzureIdentityBinding', 'AzurePodIdentityException'],
    );
    assert.deepEqual(Reflect.get(Reflect.get(found[0] ?? {}, 'metadata'), 'labels'), { own: 'a' });
  });

  it('can be read again, and then changes nothing', () => {
    const objects = [tight, deployment('web', 'web'), mic(), identity('made', {}, ofRelease), identity('reader')];
    const first = changed(objects, { federate: true });
    const again = readManifests('-', objectsText(first));
    assert.deepEqual([again.objects, again.skipped], [first, []]);
    assert.deepEqual(changed([...objects, ...again.objects], { federate: true }), []);
  });
});
