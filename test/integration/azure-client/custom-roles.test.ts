// The custom roles of the pages allow what the controller does, and nothing else is needed.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { federationErrorOf } from '../../../controller/azure/arm/testing/federation-error.ts';
import { blocksOf } from '../../docs/blocks.ts';
import { alone, app, identityIds, idOf, pool1 } from '../azure/fixtures.ts';
import { attach, connected, detach, failureOf, identity, quickAzure, scopeOf } from './harness.ts';

/** The actions of the one role that the page defines. */
function actionsOf(page: string): readonly string[] {
  const text = readFileSync(path.resolve(import.meta.dirname, '../../../docs', page), 'utf8');
  const roles = blocksOf(text).flatMap((block) => /\{\n[\s\S]*"Actions"[\s\S]*\n\}/.exec(block.text)?.[0] ?? []);
  assert.equal(roles.length, 1, page);
  const role = JSON.parse(roles[0] ?? '') as { Actions: string[] };
  return role.Actions;
}

const group = pool1.slice(0, pool1.indexOf('/providers/'));
const operator = { principal: app.clientId, scope: identity('writer'), role: 'Managed Identity Operator' };

describe('the custom role of docs/aks.md', () => {
  const actions = actionsOf('aks.md');
  const assigner = (kept: readonly string[]) => ({ principal: app.clientId, scope: group, actions: kept });

  for (const [what, id] of [
    ['scale set', pool1],
    ['virtual machine', alone],
  ] as const)
    test(`attaches and detaches on a ${what}, beside Managed Identity Operator`, async (t) => {
      const { compute } = await connected(t, quickAzure({}, { roles: [assigner(actions), operator] }));
      const scope = scopeOf(id);
      await compute.write(scope, attach('writer'), await compute.read(scope));
      const attached = await compute.read(scope);
      assert.ok(attached.identities.has(identity('writer')));
      await compute.write(scope, detach('writer'), attached);
      assert.ok(!(await compute.read(scope)).identities.has(identity('writer')));
    });

  test('needs its action write', async (t) => {
    const roles = [assigner(actions.filter((action) => !action.endsWith('virtualMachineScaleSets/write'))), operator];
    const { compute } = await connected(t, quickAzure({}, { roles }));
    const scope = scopeOf(pool1);
    assert.equal((await failureOf(compute.write(scope, attach('writer'), await compute.read(scope)))).code, 'missingRole');
  });
});

describe('the custom role of docs/federated-identities.md', () => {
  const actions = actionsOf('federated-identities.md');
  const trust = { issuer: 'https://issuer.example/', subject: 'system:serviceaccount:a:b', audiences: ['api://AzureADTokenExchange'] };
  const writer = idOf('writer');
  const azure = (kept: readonly string[]) =>
    quickAzure(
      {},
      {
        identities: [identityIds.reader, { ...identityIds.writer, federated: [{ name: 'old', ...trust }] }],
        roles: [{ principal: app.clientId, scope: group, actions: kept }],
      },
    );

  test('reads the identity, and lists and creates its credentials', async (t) => {
    const { federatedCredentials } = await connected(t, azure(actions));
    assert.equal((await federatedCredentials.getIdentity(writer)).clientId, identityIds.writer.clientId);
    await federatedCredentials.put(writer, 'new', { ...trust, subject: 'system:serviceaccount:a:c' });
    assert.deepEqual((await federatedCredentials.list(writer)).map(({ name }) => name).sort(), ['new', 'old']);
  });

  test('deletes a credential, and needs its action delete', async (t) => {
    const { federatedCredentials } = await connected(t, azure(actions));
    await federatedCredentials.remove(writer, 'old');
    const without = await connected(t, azure(actions.filter((action) => !action.endsWith('/delete'))));
    assert.equal((await federationErrorOf(without.federatedCredentials.remove(writer, 'old'))).code, 'missingRole');
  });
});
