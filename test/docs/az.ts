// The commands of the Azure CLI that pages may use. Each was compared by hand with Microsoft's pages or the source of the CLI
// (https://github.com/Azure/azure-cli, src/azure-cli/azure/cli/command_modules) or of its extension aks-preview
// (https://github.com/Azure/azure-cli-extensions, src/aks-preview): add a command or a flag only after the same.
import { readLine, switches, valued } from './flags.ts';

/** Of every command. */
const common = valued('--output', '-o', '--query', '--subscription');
const named = valued('--name', '--resource-group');
const clustered = valued('--cluster-name', '--resource-group');
const podIdentity = { ...clustered, ...valued('--namespace', '--name') };

const commands = {
  login: {},
  'account set': {},
  'account show': {},
  'acr create': { ...named, ...valued('--sku') },
  'acr login': valued('--name'),
  'aks create': { ...named, ...valued('--node-count', '--attach-acr'), ...switches('--enable-oidc-issuer', '--generate-ssh-keys') },
  'aks get-credentials': named,
  'aks pod-identity add': { ...podIdentity, ...valued('--identity-resource-id') },
  'aks pod-identity delete': podIdentity,
  'aks pod-identity exception add': { ...podIdentity, ...valued('--pod-labels') },
  'aks pod-identity exception list': clustered,
  'aks pod-identity list': clustered,
  'aks show': named,
  'aks update': {
    ...named,
    ...valued('--attach-acr'),
    ...switches('--enable-oidc-issuer', '--enable-imds-restriction', '--enable-pod-identity', '--disable-pod-identity'),
  },
  'aks upgrade': { ...named, ...switches('--node-image-only') },
  'group create': valued('--name', '--location'),
  'group delete': { ...valued('--name'), ...switches('--yes', '--no-wait') },
  'group show': valued('--name'),
  'identity create': { ...named, ...valued('--location') },
  'identity federated-credential create': { ...named, ...valued('--identity-name', '--issuer', '--subject', '--audiences') },
  'identity federated-credential delete': { ...named, ...valued('--identity-name'), ...switches('--yes') },
  'identity federated-credential list': valued('--identity-name', '--resource-group'),
  'identity show': { ...named, ...valued('--ids') },
  'role assignment create': valued('--role', '--scope', '--assignee', '--assignee-object-id', '--assignee-principal-type'),
  'role assignment delete': valued('--role', '--scope', '--assignee'),
  'role definition create': valued('--role-definition'),
  'role definition delete': valued('--name', '--scope'),
  'vmss identity show': named,
} as const;

/** What is wrong with `az` and these words. */
export function problemsOfAz(words: readonly string[]): readonly string[] {
  const group = (words.join(' ').split(/(?:^| )-/)[0] ?? '').trim();
  const flags = Object.entries(commands).find(([name]) => name === group)?.[1];
  if (flags === undefined) return [`az ${group}: nobody has compared this command with the CLI (test/docs/az.ts)`];
  return readLine(words, { ...common, ...flags }).problems.map((problem) => `az ${group}: ${problem}`);
}
