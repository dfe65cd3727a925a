import { goBoolean } from '../../../lib/upstream/mic-flags.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed, warning } from '../../finding.ts';
import { objectsOfRelease } from '../changed-objects.ts';
import type { MigrationInput } from '../input.ts';
import type { FoundSettings, UpstreamProgram } from '../upstream.ts';
import { flagValue, isOfAks, lockFlagsOf, settingsOf } from '../upstream.ts';
import { names } from './names.ts';

export function programFindings(input: MigrationInput): Finding[] {
  const { programs } = input;
  const mics = programs.filter(({ component }) => component === 'mic');
  const settings = settingsOf(programs);
  return [
    ...found(programs),
    ...addonOfAks(input),
    ...(input.aksAddon ? [] : mode(settings)),
    ...matching(settings),
    ...mics.flatMap(otherLock),
    ...mics.flatMap((mic) => signIn(mic, settings)),
    ...customCloud(settings),
    ...programs.flatMap(waitOf),
    ...programs.flatMap(headerOf),
    ...flags(settings),
    ...releaseObjects(input),
  ];
}

const place = ({ kind, namespace, name }: UpstreamProgram): string => `${kind} ${namespace}/${name}`;
const titleOf = ({ component }: UpstreamProgram): string => component.toUpperCase();
function found(programs: readonly UpstreamProgram[]): Finding[] {
  if (programs.length > 0)
    return programs.map((program) => passed(`${titleOf(program)} is ${place(program)}, image ${program.image || 'unknown'}`));
  return [
    warning('UpstreamNotFound', {
      title: 'MIC and NMI',
      message: 'neither is here, so how they were set is not known',
      advice: 'Where they run elsewhere, or have other labels, compare their flags with docs/migration.md#flags-and-variables-of-mic.',
    }),
  ];
}

function addonOfAks({ aksAddon, identities, bindings }: MigrationInput): Finding[] {
  if (!aksAddon) return [];
  const objects = [...identities, ...bindings].filter(({ object }) => isOfAks(object)).map(({ key }) => key);
  return [
    broken('AksAddon', {
      title: 'add-on of AKS',
      message: `AKS runs NMI${objects.length === 0 ? '' : ` and manages ${names(objects)}`}: the kinds may go with the add-on, and all objects with them`,
      advice:
        'Make objects of your own beside those of AKS. Our controller then attaches the identities, and needs a sign-in: docs/aks-add-on.md.',
    }),
  ];
}

const mode = ({ managed }: FoundSettings): Finding[] =>
  managed ? [passed('managed mode: nothing is written to Azure, and each identity is for pods of its own namespace, as before')] : [];

const matching = ({ forceNamespaced, managed }: FoundSettings): Finding[] =>
  forceNamespaced && !managed ? [passed('forceNamespaced: each identity is for pods of its own namespace, as before')] : [];

function otherLock(mic: UpstreamProgram): Finding[] {
  const moved = lockFlagsOf(mic);
  if (moved.length === 0) return [];
  return [
    broken('LeaderLockMoved', {
      title: titleOf(mic),
      message: `${moved.map((flag) => `--${flag}`).join(' and ')} of ${place(mic)} moves its lock, which our controller does not see: both would write`,
      advice: 'End this MIC before the install.',
      command: `kubectl scale deployment ${mic.name} -n ${mic.namespace} --replicas=0`,
    }),
  ];
}

function signIn(mic: UpstreamProgram, { values }: FoundSettings): Finding[] {
  if (mic.secret !== undefined)
    return [
      warning('SecretSignIn', {
        title: 'sign-in to Azure',
        message: `MIC signs in with Secret ${mic.namespace}/${mic.secret}, which this report does not read`,
        advice:
          'Give the values below adminsecret (tenantID, clientID and clientSecret or existingSecret), or leave them in your values file of aad-pod-identity.',
      }),
    ];
  const file = values.get('controller.cloudConfig');
  if (file === undefined || file === '') return [];
  return [
    warning('NodeFileSignIn', {
      title: 'sign-in to Azure',
      message: `MIC signs in with ${String(file)} of its node; with controller.cloudConfig our controller does, as root`,
      advice:
        'Better name a sign-in below adminsecret, such as a managed identity: docs/install.md#sign-in. Outside of the public cloud set adminsecret.cloud too.',
    }),
  ];
}

/** MIC alone signs in to Azure Resource Manager; here the broker signs in to Entra too, and reads no file of the node. */
function customCloud({ values }: FoundSettings): Finding[] {
  const file = values.get('controller.azureEnvironmentFilepath');
  if (file === undefined) return [];
  return [
    warning('CustomCloud', {
      title: 'cloud',
      message: `${String(file)} describes the cloud, and the broker does not read it`,
      advice: 'Set adminsecret.cloud: AzureStackCloud and entraEndpoint too: docs/migration.md#signing-in-to-azure.',
    }),
  ];
}

/** In seconds. */
const ourWait = 45;

function waitOf(nmi: UpstreamProgram): Finding[] {
  if (nmi.component !== 'nmi') return [];
  const flags = {
    created: flagValue(nmi, 'retry-attempts-for-created'),
    assigned: flagValue(nmi, 'retry-attempts-for-assigned'),
    pause: flagValue(nmi, 'find-identity-retry-interval'),
  };
  if (Object.values(flags).every((value) => value === undefined)) return [];
  const seconds = (Number(flags.created ?? 16) + Number(flags.assigned ?? 4)) * Number(flags.pause ?? 5);
  if (!(seconds > ourWait)) return [];
  return [
    warning('ShorterWait', {
      title: titleOf(nmi),
      message: `a token request waits up to ${seconds} s for its identity with ${place(nmi)}, and up to ${ourWait} s here; then it gets 503`,
      advice: 'SDKs repeat a request after 503. Code that does not has to.',
    }),
  ];
}

function headerOf(nmi: UpstreamProgram): Finding[] {
  if (nmi.component !== 'nmi' || goBoolean(flagValue(nmi, 'metadata-header-required') ?? 'true') !== 'false') return [];
  return [
    warning('MetadataHeaderRequired', {
      title: titleOf(nmi),
      message: `${place(nmi)} takes token requests without the header Metadata; here they get 400`,
      advice: 'See that the apps send Metadata: true, as all SDKs do.',
    }),
  ];
}

function flags({ withoutEffect, notUnderstood }: FoundSettings): Finding[] {
  return [
    ...withoutEffect.map(passed),
    ...notUnderstood.map((flag) =>
      warning('FlagUnknown', {
        title: 'flags',
        message: `${flag} is no flag of aad-pod-identity 1.8.17, or has a value that it refuses`,
        advice: 'See what it does in your version, and whether a value of the chart does the same.',
      }),
    ),
  ];
}

function releaseObjects(input: MigrationInput): Finding[] {
  const owned = objectsOfRelease(input);
  if (owned.length === 0) return [];
  return [
    broken('ReleaseOwnsObjects', {
      title: 'objects of the release',
      message: `the release of aad-pod-identity has made ${names(owned.map(({ key }) => key))}, and its uninstall deletes them`,
      advice: 'Release them first: the steps below begin with it.',
    }),
  ];
}
