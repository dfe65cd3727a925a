// Records an Event on each workload that has the label aadpodidbinding itself, where its pods do not get it (leader only). Only workloads with the label
// are listed and watched; their templates are needed, so metadata alone would not do.
import { bindingLabel } from '../../api/names.ts';
import type { EventReason } from '../../lib/identities/reasons.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import type { EventRecorder, Regarding } from '../../lib/kube/events.ts';
import { startInformer } from '../../lib/kube/informer.ts';
import { metadataOf, stringMapAt } from '../../lib/kube/objects.ts';
import type { Resource } from '../../lib/kube/resources.ts';
import { cronJobs, daemonSets, deployments, jobs, statefulSets } from '../../lib/kube/resources.ts';
import type { Logger } from '../../lib/log.ts';

/** ReplicaSets of a Deployment have the labels of its template. */
const kinds: readonly Resource[] = [deployments, statefulSets, daemonSets, jobs, cronJobs];

/** A workload whose pods lack the label that it has. */
export interface Mislabelled extends Regarding {
  selector: string;
}

/** Undefined where the template has the label too, with whatever value. */
export function mislabelledOf(raw: unknown, { group, version, kind }: Resource): Mislabelled | undefined {
  const { namespace, name, uid, labels } = metadataOf(raw);
  const selector = labels?.[bindingLabel];
  if (namespace === undefined || name === undefined || selector === undefined) return undefined;
  if (Object.hasOwn(stringMapAt(raw, ...templateOf(kind), 'metadata', 'labels'), bindingLabel)) return undefined;
  return { apiVersion: `${group}/${version}`, kind, namespace, name, uid, selector };
}

const templateOf = (kind: string): string[] => (kind === 'CronJob' ? ['spec', 'jobTemplate', 'spec', 'template'] : ['spec', 'template']);

export function mislabelledText({ kind, namespace, name, selector }: Mislabelled): string {
  const patch = [...templateOf(kind), 'metadata', 'labels'].reduceRight<unknown>((inner, key) => ({ [key]: inner }), {
    [bindingLabel]: selector,
  });
  const remedy =
    kind === 'Job'
      ? 'make it anew with the label in its template, which cannot be changed'
      : `kubectl patch ${kind.toLowerCase()} ${name} -n ${namespace} --type merge -p '${JSON.stringify(patch)}'`;
  return `the label ${bindingLabel}=${selector} is on this ${kind}, but not in ${templateOf(kind).join('.')}.metadata.labels, so its pods get no identity: ${remedy}`;
}

export interface WorkloadWatchOptions {
  client: KubeClient;
  events: EventRecorder<EventReason>;
  log: Logger;
}

/** Starts at once. */
export function watchWorkloads({ client, events, log }: WorkloadWatchOptions): { stop(): Promise<void> } {
  const informers = kinds.map((resource) => {
    const informer = startInformer({ client, log, resource, labelSelector: bindingLabel, project: (raw) => mislabelledOf(raw, resource) });
    informer.onChange(({ before, after }) => {
      // The status of a workload changes often, and its Event stays the same.
      if (after !== undefined && before?.selector !== after.selector)
        events.record(after, 'Warning', 'LabelNotInTemplate', mislabelledText(after));
    });
    return informer;
  });
  return {
    async stop() {
      await Promise.all(informers.map((informer) => informer.stop()));
    },
  };
}
