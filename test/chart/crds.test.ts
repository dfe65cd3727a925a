// The kinds as they are installed.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { loadAllYaml } from '@kubernetes/client-node';
import { parse } from 'yaml';
import type { Kind } from '../../api/kinds.ts';
import { plurals } from '../../api/kinds.ts';
import { apiGroup } from '../../api/names.ts';
import { version } from '../../api/version.ts';
import { crdVersion } from '../../lib/identities/crd-version.ts';
import { at, isRecord, stringAt } from '../../lib/kube/objects.ts';
import type { KubeObject } from './render.ts';
import { chart, helm } from './render.ts';

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

  it('have the version of the chart, by which the controller knows old ones', () => {
    for (const plural of Object.values(plurals)) {
      const [definition] = loadAllYaml(readFileSync(path.join(chart, 'crds', `${plural}.yaml`), 'utf8')) as KubeObject[];
      assert.equal(crdVersion(definition), version, plural);
    }
  });

  it('are one document each where helm prints them behind each other', async () => {
    const { stdout } = await helm('show', 'crds', chart);
    const names = loadAllYaml(stdout).map((definition) => stringAt(definition, 'metadata', 'name'));
    assert.deepEqual(
      names.sort(),
      Object.values(plurals)
        .map((plural) => `${plural}.${apiGroup}`)
        .sort(),
    );
  });

  it('are those that Chart.yaml describes for Artifact Hub', () => {
    const about: unknown = parse(readFileSync(path.join(chart, 'Chart.yaml'), 'utf8'));
    const described = parse(stringAt(about, 'annotations', 'artifacthub.io/crds') ?? '') as { kind: string; name: string }[];
    assert.deepEqual(
      described.map(({ kind, name }) => [kind, name]),
      Object.entries(plurals).map(([kind, plural]) => [kind, `${plural}.${apiGroup}`]),
    );
  });

  for (const plural of Object.values(plurals))
    it(`${plural}: every text, list and map has a maximum`, () => {
      const [definition] = loadAllYaml(readFileSync(path.join(chart, 'crds', `${plural}.yaml`), 'utf8')) as KubeObject[];
      assert.deepEqual(unbounded(at(definition, 'spec', 'versions'), plural), []);
    });

  it('AzureAssignedIdentity prints what people look for', () => {
    const [definition] = loadAllYaml(readFileSync(path.join(chart, 'crds/azureassignedidentities.yaml'), 'utf8')) as {
      spec: { versions: { additionalPrinterColumns: { name: string }[] }[] };
    }[];
    assert.deepEqual(
      definition?.spec.versions[0]?.additionalPrinterColumns.map((column) => column.name),
      ['Pod', 'Namespace', 'Identity', 'Node', 'Status', 'Reason', 'Age', 'Message'],
    );
  });
});

const maximums: Readonly<Record<string, string>> = { string: 'maxLength', array: 'maxItems' };

/** Paths of schemas without a maximum. */
function unbounded(schema: unknown, at_: string): string[] {
  if (Array.isArray(schema)) return schema.flatMap((each, index) => unbounded(each, `${at_}/${index}`));
  // Columns have a type too.
  if (!isRecord(schema) || 'jsonPath' in schema) return [];
  const maximum = 'additionalProperties' in schema ? 'maxProperties' : maximums[String(schema.type)];
  const below = Object.entries(schema).flatMap(([key, value]) => unbounded(value, `${at_}/${key}`));
  return maximum === undefined || typeof schema[maximum] === 'number' ? below : [at_, ...below];
}
