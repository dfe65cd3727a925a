// What the webhook of Azure Workload Identity does to a pod, by its documentation
// (https://azure.github.io/azure-workload-identity/docs/installation/mutating-admission-webhook.html).

interface Container {
  name: string;
  env?: { name: string }[];
  volumeMounts?: { name: string }[];
}

interface Pod {
  metadata: { annotations?: Record<string, string> };
  spec: { containers: Container[]; initContainers?: Container[]; volumes?: { name: string }[] };
}

/** Pods with this label are its own. */
export const workloadIdentityLabel = { 'azure.workload.identity/use': 'true' };
/** Asks for its proxy, which answers IMDS requests too. */
export const workloadIdentityProxy = { 'azure.workload.identity/inject-proxy-sidecar': 'true' };

const token = { name: 'azure-identity-token', mountPath: '/var/run/secrets/azure/tokens', readOnly: true };
const variables = {
  AZURE_CLIENT_ID: '00000000-0000-4000-8000-00000000c11e',
  AZURE_TENANT_ID: '00000000-0000-4000-8000-0000000e4a47',
  AZURE_FEDERATED_TOKEN_FILE: `${token.mountPath}/azure-identity-token`,
  AZURE_AUTHORITY_HOST: 'https://login.microsoftonline.com/',
};
const volume = {
  name: token.name,
  projected: {
    defaultMode: 420,
    sources: [{ serviceAccountToken: { audience: 'api://AzureADTokenExchange', expirationSeconds: 3600, path: 'azure-identity-token' } }],
  },
};

/** JSON Patch operations that replace the lists; a second call changes nothing more. */
export function withWorkloadIdentity({ metadata, spec }: Pod): object[] {
  const addProxy = metadata.annotations?.['azure.workload.identity/inject-proxy-sidecar'] === 'true';
  const { volumes = [] } = spec;
  const containers = named(spec.containers, addProxy ? 'azwi-proxy' : undefined).map(withToken);
  const initContainers = named(spec.initContainers ?? [], addProxy ? 'azwi-proxy-init' : undefined).map(withToken);
  return [
    { op: 'add', path: '/spec/containers', value: containers },
    { op: 'add', path: '/spec/initContainers', value: initContainers },
    { op: 'add', path: '/spec/volumes', value: volumes.some(({ name }) => name === token.name) ? volumes : [...volumes, volume] },
  ];
}

const named = (containers: Container[], name: string | undefined): Container[] =>
  name === undefined || containers.some((one) => one.name === name) ? containers : [...containers, imageOf(name)];

const imageOf = (name: string) => ({ name, image: `registry.test/${name}:1` });

function withToken(container: Container): Container {
  const { env = [], volumeMounts = [] } = container;
  const missing = Object.entries(variables).filter(([name]) => !env.some((one) => one.name === name));
  return {
    ...container,
    env: [...env, ...missing.map(([name, value]) => ({ name, value }))],
    volumeMounts: volumeMounts.some(({ name }) => name === token.name) ? volumeMounts : [...volumeMounts, token],
  };
}
