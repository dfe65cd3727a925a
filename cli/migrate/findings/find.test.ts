import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Code } from '../../codes.ts';
import { isProblem } from '../../finding.ts';
import {
  binding,
  codesOf,
  deployment,
  exception,
  healthy,
  identity,
  mic,
  namespace,
  nmi,
  ofRelease,
  pod,
  podTemplate,
  sectionsOf,
  workload,
} from '../testing/fixtures.ts';

interface Case {
  what: string;
  code: Code;
  status: 'broken' | 'warning';
  /** Beside what moves without a finding. */
  objects?: unknown[];
  /** In its place. */
  all?: unknown[];
  says: RegExp;
}

const foreign = (name: string) => [identity(`${name}/reader`), binding(`${name}/reader`, 'reader', 'web')];
const servicePrincipal = { type: 1, tenantID: 'contoso.example.com', clientPassword: { name: 'secret' } };

const cases: Case[] = [
  { what: 'no MIC and no NMI', code: 'UpstreamNotFound', status: 'warning', all: [identity('reader')], says: /neither is here/ },
  {
    what: 'an NMI of the AKS add-on',
    code: 'AksAddon',
    status: 'broken',
    all: [nmi({ release: false, labels: { 'kubernetes.azure.com/managedby': 'aks' } })],
    says: /^AKS runs NMI: /,
  },
  {
    what: 'an identity that AKS manages',
    code: 'AksAddon',
    status: 'broken',
    objects: [identity('managed', {}, { labels: { 'kubernetes.azure.com/managedby': 'aks' } })],
    says: /manages team-a\/managed/,
  },
  {
    what: 'a MIC with a lock of another name',
    code: 'LeaderLockMoved',
    status: 'broken',
    all: [mic({ args: ['--leader-election-name=other'] })],
    says: /^--leader-election-name of Deployment kube-system\/aad-pod-identity-mic/,
  },
  {
    what: 'a sign-in from a Secret',
    code: 'SecretSignIn',
    status: 'warning',
    all: [mic({ env: [{ name: 'CLIENT_ID', valueFrom: { secretKeyRef: { name: 'admin', key: 'ClientID' } } }] })],
    says: /Secret kube-system\/admin/,
  },
  {
    what: "a sign-in from the node's azure.json",
    code: 'NodeFileSignIn',
    status: 'warning',
    all: [mic({ args: ['--cloudconfig=/etc/kubernetes/azure.json'] })],
    says: /\/etc\/kubernetes\/azure\.json of its node/,
  },
  {
    what: 'a cloud of its own',
    code: 'CustomCloud',
    status: 'warning',
    all: [mic({ env: [{ name: 'AZURE_ENVIRONMENT_FILEPATH', value: '/etc/kubernetes/akscustom.json' }] })],
    says: /akscustom\.json describes the cloud/,
  },
  {
    what: 'an NMI that waits longer than the sidecar',
    code: 'ShorterWait',
    status: 'warning',
    all: [nmi({ args: ['--retry-attempts-for-created=30', '--find-identity-retry-interval', '10'] })],
    says: /waits up to 340 s .* 45 s here/,
  },
  {
    what: 'an NMI that takes requests without the header',
    code: 'MetadataHeaderRequired',
    status: 'warning',
    all: [nmi({ args: ['--metadata-header-required=false'] })],
    says: /without the header Metadata/,
  },
  {
    what: 'a flag of another version',
    code: 'FlagUnknown',
    status: 'warning',
    all: [mic({ args: ['--host-ip=1'] })],
    says: /^--host-ip of MIC/,
  },
  {
    what: 'a flag with a value that MIC refuses',
    code: 'FlagUnknown',
    status: 'warning',
    all: [mic({ args: ['-v=loud'] })],
    says: /^--v of MIC \(-v is 'loud'/,
  },
  {
    what: 'identities that the release of aad-pod-identity made',
    code: 'ReleaseOwnsObjects',
    status: 'broken',
    objects: [identity('made', {}, ofRelease), binding('made', 'made', 'made', ofRelease)],
    says: /has made team-a\/made, team-a\/made/,
  },
  {
    what: 'an unknown type',
    code: 'UnknownType',
    status: 'broken',
    objects: [identity('odd', { type: 7 })],
    says: /team-a\/odd has spec\.type 7/,
  },
  {
    what: 'a resource id of no identity',
    code: 'InvalidResourceID',
    status: 'broken',
    objects: [identity('odd', { resourceID: '/subscriptions/s' })],
    says: /team-a\/odd has spec\.resourceID '\/subscriptions\/s'/,
  },
  {
    what: 'a client id of a service principal that is none',
    code: 'InvalidServicePrincipal',
    status: 'broken',
    objects: [identity('odd', { ...servicePrincipal, clientID: 'me' })],
    says: /team-a\/odd: clientID must be the GUID/,
  },
  {
    what: 'a Secret of another namespace',
    code: 'CrossNamespaceSecret',
    status: 'broken',
    objects: [identity('odd', { ...servicePrincipal, clientPassword: { name: 's', namespace: 'other' } })],
    says: /its Secret must be in namespace team-a/,
  },
  {
    what: 'a service principal',
    code: 'SecretNamespaces',
    status: 'warning',
    objects: [identity('vault/app', servicePrincipal)],
    says: /of types 1 and 2 in vault,/,
  },
  {
    what: 'a binding without its identity',
    code: 'IdentityMissing',
    status: 'warning',
    objects: [binding('dangling', 'gone', 'web')],
    says: /team-a\/dangling names AzureIdentity team-a\/gone/,
  },
  {
    what: 'a binding with blanks',
    code: 'BlanksIgnored',
    status: 'warning',
    objects: [binding('blank', 'reader', ' other ')],
    says: /team-a\/blank has blanks .* team-a\/reader to pods labelled other/,
  },
  {
    what: 'a label that no binding has',
    code: 'BindingMissing',
    status: 'warning',
    objects: [deployment('api', 'Web')],
    says: /selector Web of Deployment team-a\/api; team-a\/reader has web/,
  },
  {
    what: 'two identities of one name',
    code: 'SameNameIdentities',
    status: 'warning',
    objects: foreign('shared'),
    says: /can get team-a\/reader, shared\/reader: MIC keeps one/,
  },
  {
    what: 'more identities of other namespaces than a pod can have',
    code: 'ForeignBindingLimit',
    status: 'broken',
    objects: Array.from({ length: 33 }, (_, index) => `n${index}`).flatMap((name) => [
      identity(`${name}/${name}`),
      binding(`${name}/b`, name, 'web'),
    ]),
    says: /more than 32 identities of other namespaces, and gets none of n\d+\/n\d+$/,
  },
  {
    what: 'two identities and no default',
    code: 'DefaultIdentity',
    status: 'warning',
    objects: [identity('writer'), binding('writer', 'writer', 'web')],
    says: /Deployment team-a\/web can get team-a\/reader, team-a\/writer/,
  },
  {
    what: 'a binding of another namespace',
    code: 'CrossNamespaceBindings',
    status: 'warning',
    objects: [identity('shared/reader2'), binding('shared/b', 'reader2', 'web')],
    says: /bindings of shared give identities to pods of other namespaces, as before: shared\/b/,
  },
  {
    what: 'a template that is no pod',
    code: 'PodMalformed',
    status: 'warning',
    objects: [deployment('odd', 'web', { containers: 7 })],
    says: /spec\.containers is not a list/,
  },
  {
    what: 'a labelled pod in kube-system',
    code: 'NamespaceExcluded',
    status: 'broken',
    objects: [deployment('kube-system/agent', 'web')],
    says: /for namespace kube-system/,
  },
  {
    what: 'a labelled pod in a namespace that AKS takes from every webhook',
    code: 'NamespaceExcluded',
    status: 'broken',
    objects: [namespace('gatekeeper-system', { 'control-plane': 'true' }), deployment('gatekeeper-system/agent', 'web')],
    says: /for namespace gatekeeper-system/,
  },
  {
    what: 'a static pod',
    code: 'StaticPod',
    status: 'broken',
    objects: [pod('static', 'web', { annotations: { 'kubernetes.io/config.mirror': 'x' } })],
    says: /static pods/,
  },
  {
    what: 'a pod that the webhook refuses',
    code: 'PodRefused',
    status: 'broken',
    objects: [deployment('odd', 'web', { securityContext: { runAsUser: 25_790 } })],
    says: /user and group 25790 are reserved/,
  },
  {
    what: 'a pod that opts out',
    code: 'OptedOut',
    status: 'warning',
    objects: [deployment('out', 'web', {}, { annotations: { 'aadpodidentity.k8s.io/inject': 'false' } })],
    says: /switched off/,
  },
  {
    what: 'a namespace with Pod Security restricted',
    code: 'PodSecurity',
    status: 'broken',
    objects: [
      namespace('tight', { 'pod-security.kubernetes.io/enforce': 'restricted' }),
      identity('tight/r'),
      binding('tight/r', 'r', 'tight'),
      deployment('tight/web', 'tight'),
    ],
    says: /restricted, which refuses NET_ADMIN of the init container: Deployment tight\/web/,
  },
  {
    what: 'a pod of such a namespace with the variables of interception none',
    code: 'PodRefused',
    status: 'broken',
    objects: [
      namespace('tight', { 'pod-security.kubernetes.io/enforce': 'baseline' }),
      deployment('tight/web', 'web', { containers: [{ name: 'app', image: 'app', env: [{ name: 'IDENTITY_ENDPOINT', value: 'x' }] }] }),
    ],
    says: /environment variables/,
  },
  {
    what: 'a label on the Deployment only',
    code: 'LabelOnOwnerOnly',
    status: 'warning',
    objects: [workload('Deployment', 'api', podTemplate(undefined), { labels: { aadpodidbinding: 'web' } })],
    says: /Deployment team-a\/api have the label in their own metadata/,
  },
  {
    what: 'a Job and a bare pod',
    code: 'RecreateByHand',
    status: 'warning',
    objects: [workload('Job', 'once', podTemplate('web')), pod('bare', 'web')],
    says: /anew: Job team-a\/once, Pod team-a\/bare/,
  },
  {
    what: 'a volume of Key Vault',
    code: 'NodeEndpointNeeded',
    status: 'warning',
    objects: [deployment('vault', 'web', { volumes: [{ name: 'v', csi: { driver: 'secrets-store.csi.k8s.io' } }] })],
    says: /Deployment team-a\/vault mount volumes of Key Vault/,
  },
  {
    what: 'a pod of Azure Workload Identity too',
    code: 'WorkloadIdentityToo',
    status: 'warning',
    objects: [deployment('both', 'web', {}, { labels: { 'azure.workload.identity/use': 'true' } })],
    says: /Deployment team-a\/both have its label too/,
  },
];

describe('migrationSections', () => {
  it('finds nothing where everything moves unchanged', () => {
    assert.deepEqual(codesOf(healthy()), []);
    const [unchanged] = sectionsOf(healthy());
    assert.deepEqual(
      unchanged?.findings.map(({ title }) => title),
      ['team-a: 1 AzureIdentity, 1 AzureIdentityBinding, 1 labelled workload'],
    );
  });

  for (const { what, code, status, objects = [], all, says } of cases)
    it(`has ${code} for ${what}`, () => {
      const findings = sectionsOf(all ?? [...healthy(), ...objects]).flatMap((section) => section.findings);
      const found = findings.filter(isProblem).find((finding) => finding.code === code);
      assert.ok(found !== undefined, JSON.stringify(findings));
      assert.equal(found.status, status);
      assert.match(found.message, says);
    });

  it('has each code once for one cause', () => {
    for (const { code, objects, what } of cases)
      if (objects !== undefined)
        assert.equal(codesOf([...healthy(), ...objects]).filter((found) => found === code).length, 1, `${code} for ${what}`);
  });

  it('says that pods which NMI does not serve stay as they are', () => {
    const objects = [
      ...healthy(),
      exception('calm', { calm: 'YES' }),
      deployment('excepted', 'web', {}, { labels: { calm: 'yes' } }),
      deployment('host', 'web', { hostNetwork: true }),
      deployment('windows', 'web', { nodeSelector: { 'kubernetes.io/os': 'windows' } }),
      deployment('empty', ''),
    ];
    assert.deepEqual(codesOf(objects), []);
    const pods = sectionsOf(objects).find(({ title }) => title === 'Pods');
    assert.deepEqual(
      pods?.findings.map(({ title }) => title.split(', as before: ')[1]),
      ['excepted', 'host', 'windows', 'empty'].map((name) => `Deployment team-a/${name}`),
    );
  });

  it('matches only within a namespace where MIC does', () => {
    const forced = mic({ env: [{ name: 'FORCENAMESPACED', value: 'true' }] });
    const shared = [identity('shared/one'), binding('shared/one', 'one', 'web'), nmi(), deployment('web', 'web')];
    assert.deepEqual(codesOf([mic(), ...shared]), ['CrossNamespaceBindings']);
    assert.deepEqual(codesOf([forced, ...shared]), ['BindingMissing']);
    assert.deepEqual(codesOf([nmi({ args: ['--operation-mode=managed'] }), ...shared.filter((object) => object !== shared[2])]), [
      'BindingMissing',
    ]);
  });

  it('leaves objects alone that the release keeps', () => {
    const kept = { annotations: { ...ofRelease.annotations, 'helm.sh/resource-policy': 'keep' } };
    assert.deepEqual(codesOf([...healthy(), identity('kept', {}, kept)]), []);
  });
});
