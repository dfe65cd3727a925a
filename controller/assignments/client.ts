// Writes AzureAssignedIdentity objects. What this system adds are annotations: upstream's schema, which may be installed, drops unknown fields.
//
// Every change is a JSON merge patch of the fields that are ours, together with the version of the cached object: fields of others stay, and a
// change of somebody else since then is a conflict. Server-side apply would not do: fields that aad-pod-identity wrote have another manager, and
// an apply that leaves them out keeps them.
import { isDeepStrictEqual } from 'node:util';
import type { AzureAssignedIdentity } from '../../api/kinds.ts';
import { annotations, apiGroup, apiVersion, assignedIdentityFinalizer, nodeNameLabel } from '../../api/names.ts';
import type { Assignment } from '../../lib/identities/assignment.ts';
import type { Match } from '../../lib/identities/match.ts';
import type { Pod } from '../../lib/identities/pod.ts';
import type { StatusAnnotations, StatusWriter } from '../../lib/identities/status-writer.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { mergePatch } from '../../lib/kube/client.ts';
import { isConflict, isNotFound } from '../../lib/kube/errors.ts';
import { isRecord } from '../../lib/kube/objects.ts';
import { azureAssignedIdentities, resourcePath } from '../../lib/kube/resources.ts';
import { referencesTo } from './references.ts';

/** `current` is the object as it is cached. Every method but `create` throws a conflict if the object has changed since then. */
export interface AssignmentClient extends StatusWriter {
  create(pod: Pod, match: Match, name: string, namespace: string): Promise<void>;
  /** Writes the references and the node of the match. `restart` sets the status back to Created, without the annotations of the former identity. */
  update(pod: Pod, match: Match, current: Assignment, restart: boolean): Promise<void>;
  /**
   * Sets the status to Unassigned, removes our finalizer and deletes the object, which goes once no other finalizer holds it.
   * An object that is gone already is a success.
   */
  release(current: Assignment): Promise<void>;
}

export function createAssignmentClient(client: KubeClient): AssignmentClient {
  const pathOf = (current: Assignment) => resourcePath(azureAssignedIdentities, { namespace: current.namespace, name: current.name });

  /** Throws a conflict if the object is not the cached one any more. */
  async function patch(current: Assignment, metadata: Record<string, unknown>, rest: Record<string, unknown>): Promise<void> {
    const body = { metadata: { ...metadata, resourceVersion: current.metadata.resourceVersion }, ...rest };
    await client.call('PATCH', pathOf(current), { contentType: mergePatch, body });
  }

  return {
    async create(pod, match, name, namespace) {
      const nodeName = nodeNameLabelOf(pod);
      const body: AzureAssignedIdentity = {
        apiVersion: `${apiGroup}/${apiVersion}`,
        kind: 'AzureAssignedIdentity',
        metadata: {
          name,
          namespace,
          finalizers: [assignedIdentityFinalizer],
          labels: nodeName === undefined ? {} : { [nodeNameLabel]: nodeName },
          annotations: { [annotations.podUid]: pod.uid },
        },
        spec: specOf(pod, match),
        status: { status: 'Created', availableReplicas: 1 },
      };
      await client.call('POST', resourcePath(azureAssignedIdentities, { namespace }), { body });
    },

    async update(pod, match, current, restart) {
      const { finalizers = [] } = current.metadata;
      const metadata = {
        ...(finalizers.includes(assignedIdentityFinalizer) ? {} : { finalizers: [...finalizers, assignedIdentityFinalizer] }),
        labels: { [nodeNameLabel]: nodeNameLabelOf(pod) ?? null },
        annotations: { ...(restart ? withoutStatus : {}), [annotations.podUid]: pod.uid },
      };
      const { azureIdentityRef, azureBindingRef, ...rest } = specOf(pod, match);
      const spec = {
        ...rest,
        azureIdentityRef: referencePatch(current.references.identity, azureIdentityRef),
        azureBindingRef: referencePatch(current.references.binding, azureBindingRef),
      };
      await patch(current, metadata, { spec, ...(restart ? { status: { status: 'Created', availableReplicas: 1 } } : {}) });
    },

    async updateStatus(current, status, changes) {
      const changed = Object.entries(changes).map(([name, value]) => [annotations[name as keyof StatusAnnotations], value]);
      await patch(current, { annotations: Object.fromEntries(changed) }, status === undefined ? {} : { status: { status } });
    },

    async release(current) {
      const { uid, finalizers = [] } = current.metadata;
      try {
        const others = finalizers.filter((finalizer) => finalizer !== assignedIdentityFinalizer);
        await patch(current, { uid, finalizers: others.length === 0 ? null : others }, { status: { status: 'Unassigned' } });
      } catch (error) {
        if (isNotFound(error)) return;
        throw error;
      }
      const preconditions = uid === undefined ? {} : { preconditions: { uid } };
      try {
        await client.call('DELETE', pathOf(current), { body: { apiVersion: 'v1', kind: 'DeleteOptions', ...preconditions } });
      } catch (error) {
        // A conflict is another object of the same name: the one meant is gone.
        if (!isNotFound(error) && !isConflict(error)) throw error;
      }
    },
  };
}

/** Removes what is true only of the identity that was assigned before. */
const withoutStatus = Object.fromEntries(
  [
    annotations.clientId,
    annotations.objectId,
    annotations.assignedAt,
    annotations.reason,
    annotations.message,
    annotations.retryAt,
    annotations.reportedAt,
    annotations.scope,
  ].map((annotation) => [annotation, null]),
);

/** Undefined for a node name that is no legal label value; the spec has it in any case. */
function nodeNameLabelOf({ node }: Pod): string | undefined {
  return node.length <= 63 && /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(node) ? node : undefined;
}

function specOf(pod: Pod, match: Match): NonNullable<AzureAssignedIdentity['spec']> {
  return {
    ...referencesTo(match),
    pod: pod.name,
    podNamespace: pod.namespace,
    nodename: pod.node,
  };
}

/** A MIC copies whole objects. Their managed fields, which are not cached, go with the rest of what ours does not hold. */
function referencePatch(before: unknown, after: unknown): unknown {
  const patch = patchFrom(before, after);
  return isRecord(patch) ? { ...patch, metadata: { ...(isRecord(patch.metadata) ? patch.metadata : {}), managedFields: null } } : patch;
}

/** The JSON merge patch (RFC 7386) that turns `before` into `after`. */
function patchFrom(before: unknown, after: unknown): unknown {
  if (!isRecord(before) || !isRecord(after)) return after;
  const patch: Record<string, unknown> = {};
  for (const key of Object.keys(before)) if (!(key in after)) patch[key] = null;
  for (const [key, value] of Object.entries(after)) if (!isDeepStrictEqual(before[key], value)) patch[key] = patchFrom(before[key], value);
  return patch;
}
