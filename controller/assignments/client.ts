// Writes AzureAssignedIdentity objects. What this system adds is annotations: upstream's schema, which may be installed, prunes other fields.

import type { AzureAssignedIdentity } from '../../api/kinds.ts';
import { annotations, apiGroup, apiVersion, assignedIdentityFinalizer, nodeNameLabel } from '../../api/names.ts';
import type { Match } from '../../lib/identities/match.ts';
import type { Assignment, Pod } from '../../lib/identities/objects.ts';
import type { StatusAnnotations, StatusWriter } from '../../lib/identities/status-writer.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { mergePatch } from '../../lib/kube/client.ts';
import { isConflict, isNotFound } from '../../lib/kube/errors.ts';
import { azureAssignedIdentities, resourcePath } from '../../lib/kube/resources.ts';

export interface AssignedIdentities extends StatusWriter {
  create(pod: Pod, match: Match, name: string, namespace: string): Promise<void>;
  /** New references and node under the same name; `restart` sets the status back to Created. */
  update(pod: Pod, match: Match, current: Assignment, restart: boolean): Promise<void>;
  /** Unassigned and without our finalizer, then deleted: two calls, for thousands of pods may go at once. Each is repeatable. */
  release(current: Assignment): Promise<void>;
}

export function writeAssignedIdentities(client: KubeClient): AssignedIdentities {
  const pathOf = (current: Assignment) => resourcePath(azureAssignedIdentities, { namespace: current.namespace, name: current.name });

  return {
    async create(pod, match, name, namespace) {
      const body: AzureAssignedIdentity = {
        ...typeMeta,
        metadata: {
          name,
          namespace,
          finalizers: [assignedIdentityFinalizer],
          labels: labelsOf(pod),
          annotations: { [annotations.podUid]: pod.uid },
        },
        spec: specOf(pod, match),
        status: { status: 'Created', availableReplicas: 1 },
      };
      await client.call('POST', resourcePath(azureAssignedIdentities, { namespace }), { body });
    },

    async update(pod, match, current, restart) {
      const kept = Object.entries(current.metadata.annotations ?? {}).filter(([key]) => !restart || !restarted.includes(key));
      const body: AzureAssignedIdentity = {
        ...typeMeta,
        metadata: {
          ...current.metadata,
          finalizers: [...new Set([...(current.metadata.finalizers ?? []), assignedIdentityFinalizer])],
          labels: { ...current.metadata.labels, ...labelsOf(pod) },
          annotations: { ...Object.fromEntries(kept), [annotations.podUid]: pod.uid },
        },
        spec: specOf(pod, match),
        status: { status: restart ? 'Created' : current.status, availableReplicas: 1 },
      };
      await client.call('PUT', pathOf(current), { body });
    },

    async updateStatus(current, status, notes) {
      const changed = Object.fromEntries(
        Object.entries(notes).map(([name, value]) => [annotations[name as keyof StatusAnnotations], value]),
      );
      const body = {
        metadata: { resourceVersion: current.metadata.resourceVersion, annotations: changed },
        ...(status === undefined ? {} : { status: { status } }),
      };
      await client.call('PATCH', pathOf(current), { contentType: mergePatch, body });
    },

    async release(current) {
      try {
        // Other finalizers are somebody else's and stay.
        const others = (current.metadata.finalizers ?? []).filter((finalizer) => finalizer !== assignedIdentityFinalizer);
        const metadata = { uid: current.metadata.uid, finalizers: others.length === 0 ? null : others };
        await client.call('PATCH', pathOf(current), { contentType: mergePatch, body: { metadata, status: { status: 'Unassigned' } } });
        const preconditions = current.metadata.uid === undefined ? {} : { preconditions: { uid: current.metadata.uid } };
        await client.call('DELETE', pathOf(current), { body: { apiVersion: 'v1', kind: 'DeleteOptions', ...preconditions } });
      } catch (error) {
        // A conflict is another object of the same name: the one meant is gone.
        if (!isNotFound(error) && !isConflict(error)) throw error;
      }
    },
  };
}

const typeMeta = { apiVersion: `${apiGroup}/${apiVersion}`, kind: 'AzureAssignedIdentity' };

const restarted: string[] = [
  annotations.clientId,
  annotations.objectId,
  annotations.assignedAt,
  annotations.reason,
  annotations.message,
  annotations.retryAt,
  annotations.reportedAt,
  annotations.scope,
];

/** A node name that is no legal label value goes without the label (design 3); the spec has it in any case. */
function labelsOf(pod: Pod): Record<string, string> {
  return pod.node.length <= 63 && /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(pod.node) ? { [nodeNameLabel]: pod.node } : {};
}

function specOf(pod: Pod, match: Match): NonNullable<AzureAssignedIdentity['spec']> {
  return {
    azureIdentityRef: match.identity.object,
    azureBindingRef: match.binding.object,
    pod: pod.name,
    podNamespace: pod.namespace,
    nodename: pod.node,
  };
}
