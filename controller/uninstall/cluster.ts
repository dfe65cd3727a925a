// The calls of an uninstall to the API server, each for one step of run.ts. They throw as the client does; what is gone already is a success.
import { brokerServiceName, controllerServiceAccountName, leaderLeaseName, testPodName } from '../../api/names.ts';
import { assignmentOf } from '../../lib/identities/assignment.ts';
import { federationRecordSelector } from '../../lib/identities/federation/record.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { mergePatch } from '../../lib/kube/client.ts';
import { isConflict, isNotFound } from '../../lib/kube/errors.ts';
import { at, metadataOf, stringAt } from '../../lib/kube/objects.ts';
import type { Resource } from '../../lib/kube/resources.ts';
import {
  azureAssignedIdentities,
  configMaps,
  deployments,
  leases,
  mutatingWebhookConfigurations,
  pods,
  resourcePath,
} from '../../lib/kube/resources.ts';
import { createAssignmentClient } from '../assignments/client.ts';
import { recordSelector } from '../scopes/ownership-store.ts';
import type { LeaseObservation } from './leader-silence.ts';
import type { RawRecords } from './remaining.ts';

/** Deployments of the chart. The webhook needs no stop: nothing calls it without its configuration. */
export const programs = { broker: brokerServiceName, controller: controllerServiceAccountName } as const;
const programPods = 'app.kubernetes.io/name=aad-pod-identity-webhook,app.kubernetes.io/component in (controller,broker)';
/** Releases at the same time. */
const concurrency = 20;

export type Cluster = ReturnType<typeof clusterOf>;

export function clusterOf(client: KubeClient, namespace: string) {
  const items = async (resource: Resource, place: { namespace?: string }, labelSelector?: string): Promise<unknown[]> => {
    const query: Record<string, string> = labelSelector === undefined ? {} : { labelSelector };
    const found = at(await client.call('GET', resourcePath(resource, place), { query }), 'items');
    return Array.isArray(found) ? found : [];
  };
  const remove = (resource: Resource, place: { namespace?: string; name: string }) =>
    unlessGone(client.call('DELETE', resourcePath(resource, place), { body: { apiVersion: 'v1', kind: 'DeleteOptions' } }));

  return {
    removeWebhookConfiguration: (name: string) => remove(mutatingWebhookConfigurations, { name }),

    async scaleToZero(deployment: string): Promise<void> {
      const scale = `${resourcePath(deployments, { namespace, name: deployment })}/scale`;
      await unlessGone(client.call('PATCH', scale, { contentType: mergePatch, body: { spec: { replicas: 0 } } }));
    },

    /** Names of the pods of controller and broker that may still run. */
    async runningPods(): Promise<string[]> {
      const found = await items(pods, { namespace }, programPods);
      const running = found.filter((pod) => !['Succeeded', 'Failed'].includes(stringAt(pod, 'status', 'phase') ?? ''));
      return running.map((pod) => metadataOf(pod).name ?? '');
    },

    async records(): Promise<RawRecords> {
      return {
        scopes: await items(configMaps, { namespace }, recordSelector),
        federations: await items(configMaps, { namespace }, federationRecordSelector),
      };
    },

    async lease(): Promise<Omit<LeaseObservation, 'since'>> {
      const raw = await unlessGone(client.call('GET', resourcePath(leases, { namespace, name: leaderLeaseName })));
      const seconds = at(raw, 'spec', 'leaseDurationSeconds');
      return { resourceVersion: metadataOf(raw).resourceVersion, durationMs: (typeof seconds === 'number' ? seconds : 10) * 1000 };
    },

    removeTestPod: () => remove(pods, { namespace, name: testPodName }),

    removeLease: () => remove(leases, { namespace, name: leaderLeaseName }),

    /** Releases the objects that this system made, and returns how many. Throws once all were tried, where one of them failed. */
    async releaseAssignments(): Promise<number> {
      const found = (await items(azureAssignedIdentities, {})).flatMap((raw) => assignmentOf(raw) ?? []);
      const waiting = found.filter(({ podUid }) => podUid !== undefined);
      const assignments = createAssignmentClient(client);
      const errors: unknown[] = [];
      let released = 0;
      const lane = async () => {
        for (let next = waiting.pop(); next !== undefined; next = waiting.pop())
          await assignments.release(next).then(
            () => (released += 1),
            (error: unknown) => errors.push(error),
          );
      };
      await Promise.all(Array.from({ length: concurrency }, lane));
      const first = errors.find((error) => !isConflict(error)) ?? errors[0];
      if (first !== undefined) throw new AssignmentsLeftError(released, errors.length, first);
      return released;
    },
  };
}

/** Some AzureAssignedIdentities could not be released. */
export class AssignmentsLeftError extends Error {
  override readonly name = 'AssignmentsLeftError';
  readonly code = 'assignments_left';
  readonly released: number;

  constructor(released: number, failed: number, first: unknown) {
    super(`${failed} not released, the first because of: ${first instanceof Error ? first.message : String(first)}`);
    this.released = released;
  }
}

async function unlessGone(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
