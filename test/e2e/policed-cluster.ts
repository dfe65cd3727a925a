// A cluster without the product, whose network policies kube-router enforces: plain pods, and who of them reaches what.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Cluster } from '../cluster/cluster.ts';
import { startKubeRouter } from '../cluster/kube-router.ts';
import { listOf } from './fixtures.ts';
import { eventually, kubectlOf } from './harness.ts';

export type PolicedCluster = ReturnType<typeof policedCluster>;

export function policedCluster(cluster: Cluster, log: (line: string) => void) {
  const kubectl = kubectlOf(cluster);
  let output: Promise<string> | undefined;
  return {
    kubectl,
    apply: (...objects: unknown[]) => kubectl(['apply', '-f', '-'], listOf(objects)),
    pod: (namespace: string, name: string, labels: Record<string, string>, command = ['sleep', 'infinity']) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name, labels },
      spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'app', image: cluster.appImage, command }] },
    }),
    addressOf: (namespace: string, name: string) => kubectl(['get', 'pod', '-n', namespace, name, '-o', 'jsonpath={.status.podIP}']),

    async ready(...namespaces: string[]): Promise<void> {
      for (const namespace of namespaces)
        await kubectl(['wait', '--for=condition=Ready', 'pod', '--all', '-n', namespace, '--timeout=60s']);
    },

    /** Whether the pod gets any answer from there. */
    async reaches(namespace: string, name: string, url: string): Promise<boolean> {
      const curl = ['curl', '-sk', '-m', '2', '-o', '/dev/null', '-H', 'Metadata: true', url];
      const { code, stderr } = await cluster.kubectl(['exec', '-n', namespace, name, '--', ...curl], { timeoutSeconds: 30 });
      // 7: refused, 28: no answer in time.
      assert.ok([0, 7, 28].includes(code), `curl ended with ${code}: ${stderr}`);
      return code === 0;
    },

    /** Starts the enforcer, the first time. Resolves once `isOpen`, which a policy should end, is false. */
    async enforce(isOpen: () => Promise<boolean>): Promise<void> {
      output ??= startKubeRouter(cluster, log);
      const logFile = await output;
      try {
        await eventually('the policies are enforced', isOpen, (open) => !open, 60);
      } catch (error) {
        console.error(readFileSync(logFile, 'utf8').slice(-4000));
        throw error;
      }
    },
  };
}
