import { entraHosts, publicCloud } from '../../../lib/azure/clouds.ts';
import { identityIdForm } from '../../../lib/azure/resource-ids.ts';
import type { Identity } from '../../../lib/identities/identity.ts';
import { servicePrincipalOf } from '../../../lib/identities/service-principal.ts';
import { reasonAdvice } from '../../check/reason-advice.ts';
import type { Finding } from '../../finding.ts';
import { broken, warning } from '../../finding.ts';
import type { MigrationInput } from '../input.ts';
import { namespacesOfSecrets } from '../values.ts';

export function identityFindings(input: MigrationInput): Finding[] {
  return [
    ...input.identities.flatMap((identity) => [...unknownType(identity), ...resourceId(identity), ...servicePrincipal(identity)]),
    ...secretNamespaces(input),
  ];
}

function unknownType(identity: Identity): Finding[] {
  if (identity.type !== undefined) return [];
  return [
    broken('UnknownType', {
      title: 'type',
      message: `AzureIdentity ${identity.key} has spec.type ${String(identity.object.spec?.type)}: accepted is 0, 1, 2 or 3`,
      advice: reasonAdvice.UnknownType.advice,
    }),
  ];
}

function resourceId(identity: Identity): Finding[] {
  if (identity.type !== 0 || identity.identityId !== undefined) return [];
  return [
    broken('InvalidResourceID', {
      title: 'resource id',
      message: `AzureIdentity ${identity.key} has spec.resourceID '${identity.resourceID}': accepted is ${identityIdForm}`,
      advice: reasonAdvice.InvalidResourceID.advice,
    }),
  ];
}

/** Rules of a broker in the public cloud; each known cloud has its own Entra. */
const rules = { authority: publicCloud.authority, knownHosts: entraHosts, allowCrossNamespaceSecrets: false, isAllowed: () => true };

function servicePrincipal({ key, type, object }: Identity): Finding[] {
  if (type !== 1 && type !== 2) return [];
  const found = servicePrincipalOf(type, object, rules);
  if (!('reason' in found)) return [];
  if (found.reason === 'CrossNamespaceSecret')
    return [
      broken('CrossNamespaceSecret', {
        title: 'Secret',
        message: found.message,
        advice: 'Copy the Secret to that namespace and correct clientPassword. broker.allowCrossNamespaceSecrets allows it as it is.',
      }),
    ];
  return [
    broken('InvalidServicePrincipal', {
      title: 'service principal',
      message: found.message,
      advice: `Correct AzureIdentity ${key}.`,
    }),
  ];
}

function secretNamespaces(input: MigrationInput): Finding[] {
  const namespaces = namespacesOfSecrets(input);
  if (namespaces.length === 0) return [];
  return [
    warning('SecretNamespaces', {
      title: 'Secrets',
      message: `the broker reads Secrets of AzureIdentities of types 1 and 2 in ${namespaces.join(', ')}, and only where it may`,
      advice:
        'The values below allow it there (rbac.secretNamespaces). rbac.allowAccessToSecrets of aad-pod-identity allows it everywhere.',
    }),
  ];
}
