// The steps of a move, in the order and under the titles of docs/migration.md, with the names of this cluster. Pure.
import { annotations } from '../../api/names.ts';
import { injectedWorkloads, namespacesWithoutRedirect } from './admission.ts';
import { objectsOfRelease } from './changed-objects.ts';
import type { FederateOptions } from './federation.ts';
import { federationOf } from './federation.ts';
import type { MigrationInput } from './input.ts';
import type { UpstreamProgram } from './upstream.ts';
import { isOfAks, lockFlagsOf } from './upstream.ts';
import type { Workload } from './workloads.ts';

export interface Step {
  readonly title: string;
  /** Empty where there is nothing to do. */
  readonly commands: readonly string[];
  readonly note?: string;
}

/** docs/migration.md has them as headings. */
export const stepTitles = {
  release: 'Before: identities that the chart made',
  install: '1. Install beside it',
  restart: '2. Restart the workloads',
  mic: '3. Switch MIC off',
  nmi: '4. Switch NMI off',
  uninstall: '5. Uninstall aad-pod-identity',
  federate: '6. Federate',
} as const;

/** docs/aks-add-on.md has them as headings. */
export const addonStepTitles = {
  save: '1. Write down what there is',
  install: '2. Install beside it',
  restart: '3. Restart the workloads',
  takeOver: '4. Take the identities over',
  disable: '5. Disable the add-on',
} as const;

const chart = 'charts/aad-pod-identity-webhook';

export interface PlanOptions {
  /** Of our release. */
  releaseNamespace: string;
  /** Undefined without --federate. */
  federate: FederateOptions | undefined;
}

export function stepsFor(input: MigrationInput, options: PlanOptions): Step[] {
  if (input.aksAddon) return stepsFromAddon(input, options);
  return [
    ...release(input),
    install(input, options),
    restart(input),
    ...switchMicOff(input),
    ...switchNmiOff(input),
    uninstall(input, options),
    ...federate(input, options),
  ];
}

const programsOf = ({ programs }: MigrationInput, component: 'mic' | 'nmi'): UpstreamProgram[] =>
  programs.filter((program) => program.component === component);
const helmRelease = ({ programs }: MigrationInput) => programs.map((program) => program.release).find((found) => found !== undefined);

function release(input: MigrationInput): Step[] {
  const found = helmRelease(input);
  const keys = new Set(objectsOfRelease(input).map(({ namespace }) => namespace));
  if (found === undefined || keys.size === 0) return [];
  return [
    {
      title: stepTitles.release,
      commands: [
        ...[...keys].map(
          (namespace) => `kubectl annotate azureidentity,azureidentitybinding -n ${namespace} --all helm.sh/resource-policy=keep`,
        ),
        `helm upgrade ${found.name} "$UPSTREAM_CHART" -n ${found.namespace} --values "$UPSTREAM_VALUES" --wait`,
      ],
      note: 'Take azureIdentities out of $UPSTREAM_VALUES between the two.',
    },
  ];
}

function install(input: MigrationInput, { releaseNamespace }: PlanOptions): Step {
  const values = helmRelease(input) === undefined ? '' : ' --values "$UPSTREAM_VALUES"';
  const unseen = programsOf(input, 'mic').filter((mic) => lockFlagsOf(mic).length > 0);
  return {
    title: stepTitles.install,
    commands: [
      ...unseen.map(scaleDown),
      `helm install webhook ${chart} -n ${releaseNamespace} --create-namespace${values} --values "$VALUES" --wait`,
      ...(programsOf(input, 'mic').length > 0 ? ['kubectl get events -n default --field-selector reason=UpstreamControllerRuns'] : []),
    ],
    note: '$VALUES is a file with the values above, the images and the sign-in.',
  };
}

const restartable: Readonly<Record<string, string>> = { Deployment: 'deployment', StatefulSet: 'statefulset', DaemonSet: 'daemonset' };

function restart(input: MigrationInput): Step {
  const namespaces = Map.groupBy(
    injectedWorkloads(input).filter(({ kind }) => restartable[kind] !== undefined),
    ({ namespace }) => namespace,
  );
  const resourceOf = ({ kind, name }: Workload): string => `${restartable[kind]}/${name}`;
  return {
    title: stepTitles.restart,
    commands: [
      ...namespacesWithoutRedirect(input).map((namespace) => `kubectl annotate namespace ${namespace} ${annotations.interception}=none`),
      ...[...namespaces].map(([namespace, workloads]) => `kubectl rollout restart ${workloads.map(resourceOf).join(' ')} -n ${namespace}`),
    ],
    note: 'Pods that no such workload makes are made anew by hand. kubectl aad-pod-identity check pod NAME shows how a pod is.',
  };
}

function switchMicOff(input: MigrationInput): Step[] {
  return programsOf(input, 'mic').map((mic) => ({
    title: stepTitles.mic,
    commands: [scaleDown(mic)],
    note: 'Nobody assigns for a minute: do it when few pods start.',
  }));
}

const scaleDown = ({ name, namespace }: UpstreamProgram): string => `kubectl scale deployment ${name} -n ${namespace} --replicas=0`;

function switchNmiOff(input: MigrationInput): Step[] {
  return programsOf(input, 'nmi').map(({ name, namespace }) => ({
    title: stepTitles.nmi,
    commands: [`kubectl delete daemonset ${name} -n ${namespace}`],
    note: 'Only when every labelled pod has its token proxy.',
  }));
}

function uninstall(input: MigrationInput, { releaseNamespace }: PlanOptions): Step {
  const found = helmRelease(input);
  const mics = programsOf(input, 'mic');
  const upgrade = `helm upgrade webhook ${chart} -n ${releaseNamespace} --reuse-values --set controller.ignoreUpstreamLock=true${input.hasUserRoles ? ',rbac.userFacingClusterRoles=create' : ''} --wait`;
  if (found === undefined)
    return {
      title: stepTitles.uninstall,
      commands: [...mics.map(({ name, namespace }) => `kubectl delete deployment ${name} -n ${namespace}`), upgrade],
      note: 'Never delete by the manifests of aad-pod-identity: they hold the kinds, and all objects go with these.',
    };
  return {
    title: stepTitles.uninstall,
    commands: [
      `helm uninstall ${found.name} -n ${found.namespace}`,
      `kubectl get events -n ${releaseNamespace} --field-selector reason=ObjectsMissing`,
      upgrade,
    ],
  };
}

function federate({ identities }: MigrationInput, { federate: options }: PlanOptions): Step[] {
  if (options === undefined) return [];
  const commands = federationOf(identities, options).flatMap((identity) => ('commands' in identity ? identity.commands : []));
  return commands.length === 0
    ? []
    : [
        {
          title: stepTitles.federate,
          commands,
          note: 'Not before: MIC attaches whatever the annotation says. What it has attached stays attached, unless controller.adoptAttached is set.',
        },
      ];
}

/** Of the add-on AKS makes and attaches the identities, so the objects of the user have names of their own. */
function stepsFromAddon(input: MigrationInput, options: PlanOptions): Step[] {
  const ofAks = input.identities.filter(({ object }) => isOfAks(object));
  return [
    {
      title: addonStepTitles.save,
      commands: ['kubectl aad-pod-identity migrate -o yaml > objects.yaml', 'kubectl apply -f my-identities.yaml'],
      note: 'my-identities.yaml has objects of your own, with other names than those of AKS: docs/aks-add-on.md.',
    },
    { ...install(input, options), title: addonStepTitles.install },
    { ...restart(input), title: addonStepTitles.restart },
    {
      title: addonStepTitles.takeOver,
      commands: ofAks.map(
        ({ namespace, name }) =>
          `az aks pod-identity delete --resource-group "$GROUP" --cluster-name "$CLUSTER" --namespace ${namespace} --name ${name}`,
      ),
      note: 'One at a time, when few pods start. An identity that is federated before needs no such care: docs/aks-add-on.md.',
    },
    {
      title: addonStepTitles.disable,
      commands: [
        'az aks update --resource-group "$GROUP" --name "$CLUSTER" --disable-pod-identity',
        `kubectl apply --server-side --force-conflicts -f ${chart}/crds`,
        'kubectl apply -f my-identities.yaml',
        `helm upgrade webhook ${chart} -n ${options.releaseNamespace} --reset-then-reuse-values --wait`,
      ],
      note: 'The kinds may go with the add-on, and all objects with them: bring both back at once.',
    },
  ];
}
