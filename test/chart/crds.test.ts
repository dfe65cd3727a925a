// The kinds as they are installed.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { loadAllYaml } from '@kubernetes/client-node';
import type { Kind } from '../../api/kinds.ts';
import { plurals } from '../../api/kinds.ts';
import { apiGroup } from '../../api/names.ts';
import { at, isRecord, stringAt } from '../../lib/kube/objects.ts';
import type { KubeObject } from './render.ts';
import { chart } from './render.ts';

describe('custom resource definitions', () => {
  for (const [kind, plural] of Object.entries(plurals) as [Kind, string][])
    it(`has one version of ${kind}, without status subresource and required fields`, () => {
      const [definition] = loadAllYaml(readFileSync(path.join(chart, 'crds', `${plural}.yaml`), 'utf8')) as KubeObject[];
      assert.equal(stringAt(definition, 'metadata', 'name'), `${plural}.${apiGroup}`);
      assert.equal(stringAt(definition, 'metadata', 'annotations', 'api-approved.kubernetes.io'), 'unapproved');
      assert.equal(stringAt(definition, 'spec', 'scope'), 'Namespaced');
      const versions = at(definition, 'spec', 'versions');
      assert.ok(Array.isArray(versions) && versions.length === 1 && isRecord(versions[0]));
      assert.deepEqual(
        [versions[0].name, versions[0].served, versions[0].storage, versions[0].subresources],
        ['v1', true, true, undefined],
      );
      assert.doesNotMatch(JSON.stringify(versions), /"required"/);
    });

  it('AzureAssignedIdentity prints what people look for', () => {
    const [definition] = loadAllYaml(readFileSync(path.join(chart, 'crds/azureassignedidentities.yaml'), 'utf8')) as {
      spec: { versions: { additionalPrinterColumns: { name: string }[] }[] };
    }[];
    assert.deepEqual(
      definition?.spec.versions[0]?.additionalPrinterColumns.map((column) => column.name),
      ['Pod', 'Namespace', 'Identity', 'Node', 'Status', 'Age'],
    );
  });
});
