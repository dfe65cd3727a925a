// A chart that is to Helm, to the controller and to a user what aad-pod-identity is: its objects by their names, and a MIC that renews its lock. It
// assigns nothing; tests write what a MIC would have written.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { plurals } from '../../api/kinds.ts';

const group = 'aadpodidentity.k8s.io';

/** Without columns and checks, as those of aad-pod-identity are. */
function customResourceDefinitions(): unknown[] {
  return Object.entries(plurals).map(([kind, plural]) => ({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}`, annotations: { 'api-approved.kubernetes.io': 'unapproved' } },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        },
      ],
    },
  }));
}

const renewLock = `
url="https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/default/endpoints/aad-pod-identity-mic"
account=/var/run/secrets/kubernetes.io/serviceaccount
while true; do
  leader="{\\\\\\"holderIdentity\\\\\\":\\\\\\"$HOSTNAME\\\\\\",\\\\\\"leaseDurationSeconds\\\\\\":15,\\\\\\"renewTime\\\\\\":\\\\\\"$(date -u +%FT%TZ)\\\\\\"}"
  annotations="{\\"control-plane.alpha.kubernetes.io/leader\\":\\"$leader\\"}"
  curl -sS -o /dev/null -X PATCH --cacert $account/ca.crt -H "Authorization: Bearer $(cat $account/token)" \\
    -H 'Content-Type: application/apply-patch+yaml' "$url?fieldManager=mic&force=true" \\
    --data "{\\"apiVersion\\":\\"v1\\",\\"kind\\":\\"Endpoints\\",\\"metadata\\":{\\"name\\":\\"aad-pod-identity-mic\\",\\"annotations\\":$annotations}}"
  sleep 1
done`;

function program(kind: 'Deployment' | 'DaemonSet', component: string, container: object): unknown {
  const labels = { 'app.kubernetes.io/name': 'aad-pod-identity', 'app.kubernetes.io/component': component };
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: { name: `aad-pod-identity-${component}`, labels },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          serviceAccountName: 'aad-pod-identity-mic',
          terminationGracePeriodSeconds: 1,
          containers: [{ name: component, ...container }],
        },
      },
    },
  };
}

function exception(name: string, podLabels: Record<string, string>): unknown {
  return {
    apiVersion: `${group}/v1`,
    kind: 'AzurePodIdentityException',
    metadata: { name, namespace: 'kube-system' },
    spec: { podLabels },
  };
}

function objects(image: string): unknown[] {
  const rbac = 'rbac.authorization.k8s.io/v1';
  const mic = { name: 'aad-pod-identity-mic' };
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: mic },
    {
      apiVersion: rbac,
      kind: 'ClusterRole',
      metadata: mic,
      rules: [{ apiGroups: [''], resources: ['endpoints'], verbs: ['create', 'get', 'update', 'patch'] }],
    },
    {
      apiVersion: rbac,
      kind: 'ClusterRoleBinding',
      metadata: mic,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', ...mic },
      subjects: [{ kind: 'ServiceAccount', namespace: 'kube-system', ...mic }],
    },
    program('Deployment', 'mic', { image, command: ['sh', '-c', renewLock] }),
    program('DaemonSet', 'nmi', { image, command: ['sleep', 'infinity'] }),
    exception('mic', { 'app.kubernetes.io/component': 'mic' }),
    exception('aks-addon-exception', { 'kubernetes.azure.com/managedby': 'aks' }),
    ...['view', 'edit'].map((name) => ({
      apiVersion: rbac,
      kind: 'ClusterRole',
      metadata: { name: `aad-pod-identity-${name}`, labels: { 'rbac.authorization.k8s.io/aggregate-to-edit': 'true' } },
      rules: [{ apiGroups: [group], resources: ['azureidentities', 'azureidentitybindings'], verbs: ['get', 'list', 'watch'] }],
    })),
  ];
}

/** Writes the chart and returns its folder. */
export function writeUpstreamChart(folder: string, image: string): string {
  const chart = path.join(folder, 'aad-pod-identity');
  for (const part of ['crds', 'templates']) mkdirSync(path.join(chart, part), { recursive: true });
  const write = (file: string, documents: unknown[]) =>
    writeFileSync(path.join(chart, file), documents.map((document) => JSON.stringify(document)).join('\n---\n'));
  write('Chart.yaml', [{ apiVersion: 'v2', name: 'aad-pod-identity', version: '4.1.18' }]);
  write('crds/crd.yaml', customResourceDefinitions());
  write('templates/all.yaml', objects(image));
  return chart;
}
