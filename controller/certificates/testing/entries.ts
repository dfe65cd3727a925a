import type { WebhookEntry } from '../webhook-entries-setting.ts';

/** As the chart renders it, for a Service in this namespace. */
export const entryOf = (name: string, namespace: string): WebhookEntry => ({
  name: `${name}.aadpodidentity.k8s.io`,
  admissionReviewVersions: ['v1'],
  clientConfig: { service: { name: 'hook', namespace, path: '/mutate', port: 443 } },
  failurePolicy: 'Fail',
  matchPolicy: 'Equivalent',
  reinvocationPolicy: 'IfNeeded',
  sideEffects: 'None',
  timeoutSeconds: 5,
  rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'], scope: 'Namespaced' }],
  objectSelector: { matchExpressions: [{ key: 'aadpodidbinding', operator: 'Exists' }] },
  namespaceSelector: { matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['kube-system'] }] },
});
