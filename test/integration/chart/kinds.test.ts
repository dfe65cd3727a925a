// The installed kinds: objects of aad-pod-identity stay valid, what could never work is refused, and kubectl prints what people look for.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Kind } from '../../../api/kinds.ts';
import { plurals } from '../../../api/kinds.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { connect } from '../../../lib/kube/client.ts';
import { at } from '../../../lib/kube/objects.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { mustRun } from '../../cluster/run.ts';
import { leaseControlPlane } from '../../harness/control-plane.ts';
import { installCrds } from '../../harness/crds.ts';

const resourceID = '/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i';
const identity = {
  type: 0,
  resourceID,
  clientID: 'c',
  clientPassword: {},
  auxiliaryTenantIDs: null,
  replicas: null,
  adEndpoint: '',
  adResourceID: '',
  tenantID: '',
  metadata: {},
};
const binding = { azureIdentity: 'i', selector: 's', weight: 1, metadata: {} };

describe('the kinds in a real API server', () => {
  let plane: ControlPlane;
  let client: KubeClient;
  let count = 0;
  const kubectl = (...args: string[]) => mustRun(plane.kubectl, args, { env: { KUBECONFIG: plane.kubeconfig } });

  before(async () => {
    plane = await leaseControlPlane();
    client = connect({ kubeconfig: plane.kubeconfig, userAgent: 'test', qps: 1_000 });
    await installCrds(plane);
  });
  after(async () => {
    await client?.close();
    await plane?.stop();
  });

  const create = (kind: Kind, parts: object) => {
    count += 1;
    const body = { apiVersion: 'aadpodidentity.k8s.io/v1', kind, metadata: { name: `o${count}` }, ...parts };
    return client.call('POST', `/apis/aadpodidentity.k8s.io/v1/namespaces/default/${plurals[kind]}`, { body });
  };

  it('stores all fields that aad-pod-identity writes', async () => {
    const embedded = (kind: Kind, spec: object) => ({
      apiVersion: 'aadpodidentity.k8s.io/v1',
      kind,
      metadata: { name: 'i', namespace: 'n', uid: 'u', labels: { a: 'b' } },
      spec,
      status: { availableReplicas: 0, metadata: {} },
    });
    const spec = {
      azureIdentityRef: embedded('AzureIdentity', identity),
      azureBindingRef: embedded('AzureIdentityBinding', binding),
      pod: 'p',
      podNamespace: 'n',
      nodename: 'node',
      replicas: 1,
      metadata: {},
    };
    const made = await create('AzureAssignedIdentity', { spec, status: { status: 'Assigned', availableReplicas: 1, metadata: {} } });
    assert.deepEqual(at(made, 'spec'), spec);
    assert.deepEqual(at(made, 'status'), { status: 'Assigned', availableReplicas: 1, metadata: {} });
    assert.deepEqual(at(await create('AzureIdentity', { spec: identity }), 'spec'), identity);
    assert.deepEqual(at(await create('AzureIdentityBinding', { spec: binding }), 'spec'), binding);
    assert.deepEqual(at(await create('AzurePodIdentityException', { spec: { podLabels: { app: 'x' } } }), 'spec'), {
      podLabels: { app: 'x' },
    });
  });

  it('accepts objects that are nearly empty, as aad-pod-identity does', async () => {
    for (const kind of Object.keys(plurals) as Kind[]) {
      await create(kind, {});
      await create(kind, { spec: {} });
    }
    await create('AzureIdentity', { spec: { resourceID: '' } });
    await create('AzureIdentity', { spec: { type: 1, resourceID: 'anything' } });
    await create('AzureIdentity', { spec: { type: 3, clientID: 'client', tenantID: 'tenant' } });
    await create('AzureIdentity', { spec: { resourceID: resourceID.toUpperCase() } });
    await create('AzureIdentity', { spec: { resourceID: `  ${resourceID}\n` } });
    const longest = 'x'.repeat(253);
    await create('AzureIdentity', {
      spec: {
        type: 1,
        clientID: longest,
        tenantID: longest,
        clientPassword: { name: longest, namespace: longest },
        auxiliaryTenantIDs: Array.from({ length: 20 }, () => longest),
        adEndpoint: `https://${longest}/`,
        adResourceID: `https://${longest}/`,
      },
    });
    await create('AzurePodIdentityException', { spec: { podLabels: { [`${longest}/${'x'.repeat(63)}`]: longest } } });
  });

  const refused: [name: string, kind: Kind, spec: object, says: RegExp][] = [
    ['an unknown type', 'AzureIdentity', { type: 4 }, /type is 0 \(user-assigned managed identity\)/],
    ['a resource id that is none', 'AzureIdentity', { type: 0, resourceID: 'my-identity' }, /resourceID is \/subscriptions/],
    [
      'a resource id of another kind',
      'AzureIdentity',
      { resourceID: '/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v' },
      /resourceID is/,
    ],
    ['a resource id with text before it', 'AzureIdentity', { resourceID: `https://management.azure.com${resourceID}` }, /resourceID is/],
    ['a resource id with text after it', 'AzureIdentity', { resourceID: `${resourceID}/x` }, /resourceID is/],
    [
      'a resource id with a long s in a fixed part',
      'AzureIdentity',
      { resourceID: resourceID.replace('/subscr', '/ſubscr') },
      /resourceID is/,
    ],
    ['a resource id with a long s in a name', 'AzureIdentity', { resourceID: `${resourceID}ſ` }, /resourceID is/],
    ['a resource id with a Kelvin sign in a name', 'AzureIdentity', { resourceID: `${resourceID}\u212a` }, /resourceID is/],
    ['a large text in any field', 'AzureIdentity', { type: 1, clientID: 'x'.repeat(100_000) }, /spec\.clientID.*[Tt]oo long/],
    ['a long list of tenants', 'AzureIdentity', { auxiliaryTenantIDs: Array.from({ length: 21 }, () => 't') }, /auxiliaryTenantIDs/],
    ['a long key of a label', 'AzurePodIdentityException', { podLabels: { ['x'.repeat(318)]: 'v' } }, /at most 317 characters/],
    ['a selector that no label can hold', 'AzureIdentityBinding', { selector: 'x'.repeat(64) }, /at most 63 characters/],
  ];
  for (const [name, kind, spec, says] of refused) it(`refuses ${name}`, () => assert.rejects(create(kind, { spec }), says));

  it('prints how an assignment stands and, with -o wide, the message', async () => {
    const spec = {
      azureIdentityRef: { apiVersion: 'aadpodidentity.k8s.io/v1', kind: 'AzureIdentity', metadata: { name: 'reader' } },
      pod: 'web-1',
      podNamespace: 'team',
      nodename: 'node-7',
    };
    const annotations = { 'aadpodidentity.k8s.io/reason': 'Throttled', 'aadpodidentity.k8s.io/message': 'Azure says wait' };
    await create('AzureAssignedIdentity', { metadata: { name: 'printed', annotations }, spec, status: { status: 'Created' } });
    const linesOf = async (...args: string[]) => (await kubectl('get', 'aai', 'printed', ...args)).trim().split('\n');
    const [header, line] = await linesOf();
    assert.match(header ?? '', /^NAME +POD +NAMESPACE +IDENTITY +NODE +STATUS +REASON +AGE$/);
    assert.match(line ?? '', /^printed +web-1 +team +reader +node-7 +Created +Throttled +\d+s$/);
    const [wideHeader, wideLine] = await linesOf('-o', 'wide');
    assert.match(wideHeader ?? '', /REASON +AGE +MESSAGE$/);
    assert.match(wideLine ?? '', /Throttled +\d+s +Azure says wait$/);
  });

  it('lists all kinds in the category azure', async () => {
    const kinds = Object.keys(plurals) as Kind[];
    for (const kind of kinds) await create(kind, { metadata: { name: 'listed' } });
    const names = (await kubectl('get', 'azure', '-o', 'name')).split('\n').filter((name) => name.endsWith('/listed'));
    assert.deepEqual(names.sort(), kinds.map((kind) => `${kind.toLowerCase()}.aadpodidentity.k8s.io/listed`).sort());
  });
});
