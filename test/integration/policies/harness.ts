// The chart's admission policies in a real API server, and clients that act as somebody.
import { Agent, request } from 'undici';
import { at, isRecord, stringAt } from '../../../lib/kube/objects.ts';
import { render } from '../../chart/render.ts';
import { mustRun } from '../../cluster/run.ts';
import { leaseControlPlane } from '../../harness/control-plane.ts';
import { installCrds } from '../../harness/crds.ts';
import { eventually } from '../../harness/wait.ts';

export type Method = 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'GET';

export interface Answer {
  status: number;
  message: string;
  /** Texts of the warnings. */
  warnings: string[];
  object: unknown;
}

export interface Call {
  method: Method;
  path: string;
  body?: unknown;
  /** Who asks, `alice` by default, and the one group that they are in. */
  user?: string;
  group?: string | undefined;
}

export type PolicyHarness = Awaited<ReturnType<typeof startPolicyHarness>>;

/** `system` is the release namespace, as test/chart/render.ts has it. */
export const system = 'system';

export async function startPolicyHarness() {
  const plane = await leaseControlPlane();
  const agent = new Agent({ connect: { ca: plane.ca } });
  const kubectl = (args: string[], input?: string) =>
    mustRun(plane.kubectl, args, { env: { KUBECONFIG: plane.kubeconfig }, ...(input === undefined ? {} : { input }) });
  const apply = (...items: unknown[]) => kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));

  async function call({ method, path, body, user = 'alice', group }: Call): Promise<Answer> {
    const response = await request(new URL(plane.url + path), {
      method,
      dispatcher: agent,
      headers: {
        authorization: `Bearer ${plane.token}`,
        'impersonate-user': user,
        ...(group === undefined ? {} : { 'impersonate-group': group }),
        'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const object: unknown = await response.body.json();
    const header = response.headers.warning ?? [];
    const warnings = (Array.isArray(header) ? header : [header]).map((line) =>
      line.replace(/^299 \S+ "(.*)"$/, '$1').replaceAll('\\"', '"'),
    );
    const message = response.statusCode < 400 ? '' : (stringAt(object, 'message') ?? '');
    return { status: response.statusCode, message, warnings, object };
  }

  const namespace = async (name: string, labels: Record<string, string> = {}) => {
    await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
    const account = `/api/v1/namespaces/${name}/serviceaccounts/default`;
    await eventually(async () => (await call({ method: 'GET', path: account })).status === 200, `a service account in ${name}`);
  };

  /** Applies the policies as the values make them; resolves when the API server follows them. */
  async function applyPolicies(...values: string[]): Promise<void> {
    const rendered = await render('--set', ['guard.enabled=true', ...values].join(','));
    const isOfGuard = (object: unknown) => at(object, 'metadata', 'labels', 'app.kubernetes.io/component') === 'guard';
    const policies = rendered.filter(isOfGuard).filter(({ kind }) => String(kind).startsWith('ValidatingAdmissionPolicy'));
    await apply(...policies);
    for (const { metadata, spec } of policies.filter(({ kind }) => kind === 'ValidatingAdmissionPolicyBinding')) {
      const name = stringAt(metadata, 'name') ?? '';
      const actions = isRecord(spec) && Array.isArray(spec.validationActions) ? spec.validationActions : [];
      const probe = probes[name];
      if (probe === undefined) throw new Error(`no probe for policy ${name}`);
      await eventually(async () => isIn(await call(probe), actions.includes('Deny')), `policy ${name} in force`);
    }
  }
  const isIn = ({ message, warnings }: Answer, denies: boolean) =>
    denies ? message.includes('ValidatingAdmissionPolicy') : warnings.some((text) => text.includes('Validation failed'));

  // RBAC is no part of these tests: every user may do everything.
  await apply({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'everybody' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'system:authenticated' }],
  });
  await installCrds(plane);
  await namespace('probes', { 'aadpodidentity.k8s.io/strict': 'enabled' });
  await apply(pod('probes', 'redirected', { labels: redirected, container: strict }));

  return {
    plane,
    call,
    kubectl,
    apply,
    namespace,
    applyPolicies,
    async stop() {
      await agent.close();
      await plane.stop();
    },
  };
}

export const marker = 'aadpodidentity.k8s.io/injected';
export const redirected = { aadpodidbinding: 'sel', [marker]: 'redirect' };
/** Fields of a container that the strictest policy accepts. */
export const strict = { securityContext: { allowPrivilegeEscalation: false, runAsUser: 1000 } };

export interface PodParts {
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  spec?: Record<string, unknown>;
  container?: Record<string, unknown>;
}

export function pod(namespace: string, name: string, { labels, annotations, spec, container }: PodParts = {}) {
  const app = { name: 'app', image: 'app', ...container };
  return { apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name, labels, annotations }, spec: { containers: [app], ...spec } };
}

export const podPath = (namespace: string, name = '', subresource = ''): string =>
  ['/api/v1/namespaces', namespace, 'pods', name, subresource].filter((part) => part !== '').join('/');
export const ours = (namespace: string, plural: string, name = ''): string =>
  ['/apis/aadpodidentity.k8s.io/v1/namespaces', namespace, plural, name].filter((part) => part !== '').join('/');

/** A dry run that each policy finds fault with, by the policy's name. */
const probes: Record<string, Call> = {
  'aad-pod-identity-marker': {
    method: 'POST',
    path: `${podPath('probes')}?dryRun=All`,
    body: pod('probes', 'forged', { labels: { [marker]: 'redirect' } }),
  },
  'aad-pod-identity-ephemeral-containers': {
    method: 'PATCH',
    path: `${podPath('probes', 'redirected', 'ephemeralcontainers')}?dryRun=All`,
    body: { spec: { ephemeralContainers: [{ name: 'debug', image: 'i', securityContext: { privileged: true, runAsUser: 1 } }] } },
  },
  'aad-pod-identity-exec': {
    method: 'POST',
    path: `${podPath('probes', 'redirected', 'exec')}?stdout=true&command=x&container=aad-pod-identity-proxy`,
  },
  'aad-pod-identity-container-privileges': {
    method: 'POST',
    path: `${podPath('probes')}?dryRun=All`,
    body: pod('probes', 'lax', { labels: redirected }),
  },
  'aad-pod-identity-exceptions': {
    method: 'POST',
    path: `${ours('probes', 'azurepodidentityexceptions')}?dryRun=All`,
    body: { apiVersion: 'aadpodidentity.k8s.io/v1', kind: 'AzurePodIdentityException', metadata: { name: 'e' }, spec: { podLabels: {} } },
  },
  'aad-pod-identity-assigned-identities': {
    method: 'POST',
    path: `${ours('probes', 'azureassignedidentities')}?dryRun=All`,
    body: { apiVersion: 'aadpodidentity.k8s.io/v1', kind: 'AzureAssignedIdentity', metadata: { name: 'a' } },
  },
};
