// How the controller signs in to Azure: by its settings, the variables of the workload identity webhook, or azure.json of the node. Pure.
import { isRecord } from '../../kube/objects.ts';
import { SettingsError } from '../../settings.ts';

/** A secret in memory, or a file that is read again for each sign-in, so that a rotated secret takes effect. */
export type SecretSource = { readonly text: string } | { readonly file: string };

export type SignIn =
  /** Of the node; without a client id the system-assigned one. */
  | { readonly kind: 'managedIdentity'; readonly clientId: string | undefined }
  | { readonly kind: 'secret'; readonly tenantId: string; readonly clientId: string; readonly secret: SecretSource }
  | {
      readonly kind: 'certificate';
      readonly tenantId: string;
      readonly clientId: string;
      readonly file: string;
      readonly password: SecretSource | undefined;
    }
  | { readonly kind: 'workloadIdentity'; readonly tenantId: string; readonly clientId: string; readonly tokenFile: string };

/** Empty text is absent. */
export interface SignInSettings {
  tenantId: string;
  clientId: string;
  clientSecretFile: string;
  clientCertificateFile: string;
  clientCertificatePasswordFile: string;
  federatedTokenFile: string;
  useMsi: boolean;
  userAssignedMsiClientId: string;
}

/** The keys of azure.json that are used. An empty value is absent. */
export interface AzureJson {
  cloud?: string;
  tenantId?: string;
  aadClientId?: string;
  aadClientSecret?: string;
  aadClientCertPath?: string;
  aadClientCertPassword?: string;
  useManagedIdentityExtension?: boolean;
  userAssignedIdentityID?: string;
  aadFederatedTokenFile?: string;
  useFederatedWorkloadIdentityExtension?: boolean;
  resourceManagerEndpoint?: string;
}

const texts = [
  'cloud',
  'tenantId',
  'aadClientId',
  'aadClientSecret',
  'aadClientCertPath',
  'aadClientCertPassword',
  'userAssignedIdentityID',
  'aadFederatedTokenFile',
  'resourceManagerEndpoint',
] as const;
const switches = ['useManagedIdentityExtension', 'useFederatedWorkloadIdentityExtension'] as const;

/** Ignores unknown keys. Throws {@link SettingsError}, which quotes no value. */
export function parseAzureJson(content: string, file: string): AzureJson {
  let parsed: unknown;
  try {
    parsed = JSON.parse(content.replace(/^\uFEFF/, ''));
  } catch {
    throw new SettingsError(`--cloud-config ${file} is not JSON: accepted is the azure.json of a node`);
  }
  if (!isRecord(parsed)) throw new SettingsError(`--cloud-config ${file} is not a JSON object: accepted is the azure.json of a node`);
  const result: AzureJson = {};
  for (const key of texts) {
    const value = parsed[key] ?? '';
    if (typeof value !== 'string') throw new SettingsError(`--cloud-config ${file}: ${key} is not a text`);
    if (value !== '') result[key] = value;
  }
  for (const key of switches) {
    const value = parsed[key] ?? false;
    if (value !== true && value !== false && value !== 'true' && value !== 'false')
      throw new SettingsError(`--cloud-config ${file}: ${key} is not true or false`);
    result[key] = String(value) === 'true';
  }
  return result;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Settings override the variables of the workload identity webhook, and these azure.json. Throws {@link SettingsError}. */
export function chooseSignIn(settings: SignInSettings, json: AzureJson, env: Environment): SignIn {
  const secretText = withoutPlaceholder(env.CLIENT_SECRET);
  const methods = [
    ['--use-msi', settings.useMsi || isPlaceholder(settings.clientId)],
    ['--federated-token-file', settings.federatedTokenFile !== ''],
    ['--client-secret-file', settings.clientSecretFile !== ''],
    ['CLIENT_SECRET', secretText !== ''],
    ['--client-certificate-file', settings.clientCertificateFile !== ''],
  ] as const;
  const chosen = methods.filter(([, set]) => set).map(([name]) => name);
  if (chosen.length > 1) throw new SettingsError(`${chosen.join(' and ')} are set: accepted is one way to sign in to Azure`);

  const application = () => ({
    tenantId: tenant(settings.tenantId || env.AZURE_TENANT_ID || json.tenantId),
    clientId: client(settings.clientId || env.AZURE_CLIENT_ID || json.aadClientId),
  });
  const file = (path: string): SecretSource | undefined => (path === '' ? undefined : { file: path });

  switch (chosen[0]) {
    case '--use-msi':
      return { kind: 'managedIdentity', clientId: settings.userAssignedMsiClientId || undefined };
    case '--federated-token-file':
      return { kind: 'workloadIdentity', ...application(), tokenFile: settings.federatedTokenFile };
    case '--client-secret-file':
      return { kind: 'secret', ...application(), secret: { file: settings.clientSecretFile } };
    case 'CLIENT_SECRET':
      return { kind: 'secret', ...application(), secret: { text: secretText } };
    case '--client-certificate-file': {
      const password = file(settings.clientCertificatePasswordFile);
      return { kind: 'certificate', ...application(), file: settings.clientCertificateFile, password };
    }
    case undefined:
  }

  const tokenFile = env.AZURE_FEDERATED_TOKEN_FILE || (json.useFederatedWorkloadIdentityExtension ? json.aadFederatedTokenFile : undefined);
  if (tokenFile !== undefined) return { kind: 'workloadIdentity', ...application(), tokenFile };
  if (json.useManagedIdentityExtension)
    return { kind: 'managedIdentity', clientId: settings.userAssignedMsiClientId || json.userAssignedIdentityID };
  const jsonSecret = withoutPlaceholder(json.aadClientSecret);
  if (jsonSecret !== '') return { kind: 'secret', ...application(), secret: { text: jsonSecret } };
  if (json.aadClientCertPath !== undefined) {
    const password = json.aadClientCertPassword === undefined ? undefined : { text: json.aadClientCertPassword };
    return { kind: 'certificate', ...application(), file: json.aadClientCertPath, password };
  }
  throw new SettingsError(
    'no way to sign in to Azure: accepted is one of --use-msi, --federated-token-file, --client-secret-file, --client-certificate-file, CLIENT_SECRET, or --cloud-config with one of them',
  );
}

/** Where a managed identity is used, azure.json and the adminsecret of aad-pod-identity hold this word as client id and secret. */
const isPlaceholder = (text: string | undefined): boolean => text === 'msi';
const withoutPlaceholder = (text = ''): string => (isPlaceholder(text) ? '' : text);

function tenant(value: string | undefined): string {
  if (value === undefined || value === '') throw new SettingsError('--tenant-id is missing: accepted is a GUID or a DNS name');
  if (!/^[0-9a-z-]+(\.[0-9a-z-]+)*$/i.test(value))
    throw new SettingsError(`--tenant-id is '${value.slice(0, 100)}': accepted is a GUID or a DNS name`);
  return value;
}

function client(value: string | undefined): string {
  if (value === undefined || value === '') throw new SettingsError('--client-id is missing: accepted is the client id of an application');
  return value;
}
