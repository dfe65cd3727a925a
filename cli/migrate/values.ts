// The values that the chart needs in this cluster, beside the images. Where aad-pod-identity's value says it once for several programs, its name is used:
// the chart takes both (docs/adr/0033-values-of-aad-pod-identity.md). Pure.
import { stringify } from 'yaml';
import { mountsDriver } from '../../lib/identities/node-endpoint.ts';
import { at, isRecord, stringMapAt } from '../../lib/kube/objects.ts';
import type { MigrationInput } from './input.ts';
import type { UpstreamProgram } from './upstream.ts';
import { settingsOf } from './upstream.ts';
import type { Workload } from './workloads.ts';

export type ChartValues = Record<string, unknown>;

export function valuesFor(input: MigrationInput): ChartValues {
  const paths = new Map(settingsOf(input.programs).values);
  // AKS attaches the identities of its add-on, and detaches them with it. Then our controller has to.
  if (input.aksAddon && paths.delete('operationMode')) paths.set('forceNamespaced', true);
  const mic = input.programs.find(({ component }) => component === 'mic');
  const nmi = input.programs.find(({ component }) => component === 'nmi');
  if (mic !== undefined) for (const [name, value] of Object.entries(placementOf(mic))) paths.set(`mic.${name}`, value);
  const secretNamespaces = namespacesOfSecrets(input);
  if (secretNamespaces.length > 0) paths.set('rbac.secretNamespaces', secretNamespaces);
  if (input.hasUserRoles) paths.set('rbac.userFacingClusterRoles', 'existing');
  if (input.workloads.some(needsNodeEndpoint)) {
    paths.set('nodeEndpoint.enabled', true);
    if (nmi !== undefined) for (const [name, value] of Object.entries(nodePlacementOf(nmi))) paths.set(`nmi.${name}`, value);
  }
  const values: ChartValues = {};
  for (const [path, value] of [...paths].sort(([a], [b]) => (a < b ? -1 : 1))) set(values, path.split('.'), value);
  return values;
}

/** As a file for `--values`. */
export const valuesText = (values: ChartValues): string =>
  `# Add the images, and what signs in to Azure where it is not here: docs/migration.md#values-of-the-chart.\n${Object.keys(values).length === 0 ? '' : stringify(values)}`;

/** The drivers that the chart's nodeEndpoint.drivers has by default. */
const keyVaultDrivers = ['secrets-store.csi.k8s.io', 'azure/kv'];

export const needsNodeEndpoint = ({ pod }: Workload): boolean => mountsDriver(pod, keyVaultDrivers);

/** Those of AzureIdentities with a Secret. */
export const namespacesOfSecrets = ({ identities }: MigrationInput): string[] => [
  ...new Set(identities.filter(({ type }) => type === 1 || type === 2).map(({ namespace }) => namespace)),
];

/** What the chart of aad-pod-identity sets by default says nothing. */
function nodePlacementOf({ template }: UpstreamProgram): ChartValues {
  const spec = at(template, 'spec');
  const nodeSelector = without(stringMapAt(spec, 'nodeSelector'), /^(kubernetes\.io\/os|beta\.kubernetes\.io\/os)$/);
  const affinity = at(spec, 'affinity', 'nodeAffinity');
  const candidates: ChartValues = {
    nodeSelector,
    tolerations: at(spec, 'tolerations'),
    affinity: isRecord(affinity) ? { nodeAffinity: affinity } : undefined,
    priorityClassName: at(spec, 'priorityClassName'),
  };
  return Object.fromEntries(Object.entries(candidates).filter(([, value]) => isGiven(value)));
}

const ofChart = /^(app|component|tier|app\.kubernetes\.io\/.*|helm\.sh\/chart|kubernetes\.azure\.com\/.*)$/;

function placementOf(mic: UpstreamProgram): ChartValues {
  const podLabels = without(stringMapAt(mic.template, 'metadata', 'labels'), ofChart);
  const podAnnotations = without(
    stringMapAt(mic.template, 'metadata', 'annotations'),
    /^(checksum\/config|kubectl\.kubernetes\.io\/restartedAt)$/,
  );
  return {
    ...nodePlacementOf(mic),
    ...(isGiven(podLabels) ? { podLabels } : {}),
    ...(isGiven(podAnnotations) ? { podAnnotations } : {}),
    ...(mic.replicas === undefined || mic.replicas === 0 || mic.replicas === 2 ? {} : { replicas: mic.replicas }),
  };
}

const without = (map: Readonly<Record<string, string>>, keys: RegExp): Record<string, string> =>
  Object.fromEntries(Object.entries(map).filter(([key]) => !keys.test(key)));

const isGiven = (value: unknown): boolean =>
  value !== undefined && value !== null && value !== '' && (typeof value !== 'object' || Object.keys(value).length > 0);

function set(values: ChartValues, [first = '', ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    values[first] = value;
    return;
  }
  const inner = isRecord(values[first]) ? values[first] : {};
  values[first] = inner;
  set(inner, rest, value);
}
