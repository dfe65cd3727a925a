// Pods as a cluster has them: labels and annotations of their owner, environment, probes, volumes, and the webhook's own parts.
import { bindingLabel } from '../../../api/names.ts';
import { parsePod } from '../../../lib/identities/decision/pod-view.ts';
import type { RawObject } from '../../../lib/identities/decision/raw-pod.ts';
import { noLimits } from '../../../webhook/injection/limit-ranges.ts';
import { render } from '../../../webhook/injection/render.ts';
import { template } from '../../../webhook/testing/fixtures.ts';

/** Injected and scheduled; about 7 kB once the API server has added its managed fields. */
export function realisticPod(name: string, selector: string, node: string): RawObject {
  const team = selector.replace('selector', 'team');
  const pod = parsePod({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'default',
      labels: {
        [bindingLabel]: selector,
        app: team,
        'app.kubernetes.io/name': team,
        'app.kubernetes.io/instance': `${team}-production`,
        'app.kubernetes.io/version': '3.14.1',
        'app.kubernetes.io/component': 'backend',
        'pod-template-hash': '6d4f9c7b58',
      },
      annotations: {
        'prometheus.io/scrape': 'true',
        'prometheus.io/port': '9090',
        'checksum/config': '0f5a8d1c6b2e4f7a9c3d8e1b5a6f7c2d9e4b8a1f6c3d7e2b5a9f8c4d1e6b3a7f',
        'cluster-autoscaler.kubernetes.io/safe-to-evict': 'true',
      },
    },
    spec: {
      nodeName: node,
      serviceAccountName: 'default',
      containers: [
        {
          name: 'app',
          image: `registry.example/${team}/backend:3.14.1`,
          ports: [{ name: 'http', containerPort: 8080 }],
          env: Array.from({ length: 12 }, (_, index) => ({
            name: `${team.toUpperCase().replace('-', '_')}_SETTING_${index}`,
            value: `value-${index}`,
          })),
          resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } },
          readinessProbe: { httpGet: { path: '/ready', port: 'http' }, periodSeconds: 5 },
          livenessProbe: { httpGet: { path: '/live', port: 'http' } },
          volumeMounts: [
            { name: 'config', mountPath: '/etc/app' },
            { name: 'scratch', mountPath: '/scratch' },
          ],
        },
      ],
      volumes: [
        { name: 'config', configMap: { name: `${team}-config` } },
        { name: 'scratch', emptyDir: {} },
      ],
    },
  });
  return render(pod, { decision: 'inject', interception: 'redirect', options: {}, defaults: {} }, template, {
    guarded: false,
    limits: noLimits,
  }).pod;
}
