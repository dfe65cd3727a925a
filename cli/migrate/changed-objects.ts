// `-o yaml`: the objects that the move changes, as `kubectl apply` takes them, by the client or by the server. Each is whole: an apply of an annotation
// alone would remove the spec that an earlier apply gave. Pure.
import { stringify } from 'yaml';
import type { AzureIdentity, AzureIdentityBinding } from '../../api/kinds.ts';
import { annotations, apiGroup, apiVersion } from '../../api/names.ts';
import type { Binding } from '../../lib/identities/binding.ts';
import type { Exception } from '../../lib/identities/exceptions.ts';
import type { Identity } from '../../lib/identities/identity.ts';
import { namespacesWithoutRedirect } from './admission.ts';
import { notFederable } from './federation.ts';
import type { MigrationInput } from './input.ts';
import { namespaceIn } from './input.ts';
import { releaseOf } from './upstream.ts';

const keepAnnotation = 'helm.sh/resource-policy';

/** AzureIdentities and bindings that the release of MIC made, and that its uninstall deletes. */
export function objectsOfRelease({ programs, identities, bindings }: MigrationInput): (Identity | Binding)[] {
  const releases = new Set(programs.flatMap(({ release }) => (release === undefined ? [] : [`${release.namespace}/${release.name}`])));
  return [...identities, ...bindings].filter(({ object, namespace }) => {
    const release = releaseOf(object, namespace);
    return (
      release !== undefined &&
      object.metadata.annotations?.[keepAnnotation] !== 'keep' &&
      releases.has(`${release.namespace}/${release.name}`)
    );
  });
}

export function changedObjects(input: MigrationInput, { federate }: { federate: boolean }): object[] {
  const released = new Set<Identity | Binding>(objectsOfRelease(input));
  const keepOf = (item: Identity | Binding) => (released.has(item) ? { [keepAnnotation]: 'keep' } : {});
  const federateOf = (identity: Identity) =>
    federate && notFederable(identity) === undefined ? { [annotations.assignment]: 'federate' } : {};
  return [
    ...namespacesWithoutRedirect(input).map((name) => namespaceObject(input, name)),
    ...input.identities.flatMap((identity) => changed(input, identity.object, { ...keepOf(identity), ...federateOf(identity) })),
    ...input.bindings.flatMap((binding) => changed(input, binding.object, keepOf(binding))),
    ...(input.aksAddon ? input.exceptions.map(exceptionObject) : []),
  ];
}

/** For `kubectl apply -f -`. */
export const objectsText = (objects: readonly object[]): string =>
  objects.length === 0 ? '# Nothing is to be changed.\n' : objects.map((object) => stringify(object)).join('---\n');

/** None where it stays as it is. All objects go with the add-on of AKS, and AKS reconciles what has its labels. */
function changed(
  { aksAddon }: MigrationInput,
  { kind, metadata, spec }: AzureIdentity | AzureIdentityBinding,
  added: Record<string, string>,
): object[] {
  const { name, namespace, labels = {}, annotations: own = {} } = metadata;
  const isChanged = Object.entries(added).some(([key, value]) => own[key] !== value);
  if (!isChanged && !aksAddon) return [];
  const kept = aksAddon ? without(labels, /^(kubernetes\.azure\.com|addonmanager\.kubernetes\.io)\//) : labels;
  return [
    {
      apiVersion: `${apiGroup}/${apiVersion}`,
      kind,
      metadata: { name, namespace, ...given('labels', kept), ...given('annotations', { ...ofUser(own), ...added }) },
      ...(spec === undefined ? {} : { spec }),
    },
  ];
}

const exceptionObject = ({ name, namespace, podLabels }: Exception): object => ({
  apiVersion: `${apiGroup}/${apiVersion}`,
  kind: 'AzurePodIdentityException',
  metadata: { name, namespace },
  spec: { podLabels },
});

function namespaceObject(input: MigrationInput, name: string): object {
  const { labels, annotations: own } = namespaceIn(input, name);
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, ...given('labels', labels), annotations: { ...ofUser(own), [annotations.interception]: 'none' } },
  };
}

type Texts = Readonly<Record<string, string>>;

/** Without what kubectl writes itself. */
const ofUser = (map: Texts): Texts => without(map, /^kubectl\.kubernetes\.io\//);
const without = (map: Texts, keys: RegExp): Texts => Object.fromEntries(Object.entries(map).filter(([key]) => !keys.test(key)));
const given = (field: string, map: Texts): object => (Object.keys(map).length === 0 ? {} : { [field]: map });
