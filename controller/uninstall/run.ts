// The steps of an uninstall (docs/adr/0035-uninstall.md). Each has its part of the time. A step that fails is reported, and the next one follows.
//
//   webhook configuration   removed, so that no labelled pod is refused
//   broker                  stopped, so that no sidecar learns of the end: it keeps its list and its tokens
//   Azure                   the leader detaches and deletes by its records; the end is seen in the records
//   controller              stopped, so that it makes no AzureAssignedIdentity anew
//   AzureAssignedIdentities released
//   Lease                   removed: a new install leads at once
//   pod of helm test        removed: Helm leaves it
import type { Clock } from '../../common/clock.ts';
import { sleep } from '../../common/sleep.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { isForbidden, isNotFound } from '../../lib/kube/errors.ts';
import type { Cluster } from './cluster.ts';
import { AssignmentsLeftError, clusterOf, programs } from './cluster.ts';
import type { LeaseObservation } from './leader-silence.ts';
import { isSilent, observeLease } from './leader-silence.ts';
import type { Left } from './remaining.ts';
import { isDetaching, leftInAzure } from './remaining.ts';
import { withdrawRequest, writeRequest } from './request.ts';

export interface UninstallOptions {
  client: KubeClient;
  clock: Clock;
  /** Of the release. */
  namespace: string;
  webhookConfiguration: string;
  /** Identities are detached and federated credentials deleted. */
  detach: boolean;
  timeoutMs: number;
  /** One line for whoever reads the log. */
  say(line: string): void;
}

const pollMs = 1_000;
const maxFinishMs = 80_000;
const maxCallMs = 10_000;

/** Ends within the time-out, whatever fails. Never rejects. Returns what is left. */
export async function uninstall(options: UninstallOptions): Promise<Left[]> {
  const { clock, namespace, webhookConfiguration, timeoutMs, say } = options;
  const end = clock.now() + timeoutMs;
  // Stop, release and clean up.
  const finishAt = end - Math.min(maxFinishMs, timeoutMs / 2);
  const client = bounded(options.client, clock, end);
  const cluster = clusterOf(client, namespace);
  const left: Left[] = [];
  const step = stepsOf(options, left);

  await step({
    what: `webhook configuration ${webhookConfiguration}`,
    async work() {
      await cluster.removeWebhookConfiguration(webhookConfiguration);
      return 'removed: pods are admitted without a token proxy';
    },
    command: `kubectl delete mutatingwebhookconfiguration ${webhookConfiguration}`,
    until: finishAt,
  });
  await step({
    what: 'broker',
    async work() {
      await cluster.scaleToZero(programs.broker);
      return 'stopped: pods that run keep the tokens that they have';
    },
    until: finishAt,
  });
  if (options.detach) await detach(options, { client, cluster, step, finishAt, end });
  else say('Azure: nothing is detached, since uninstall.detach is false or operationMode is managed');
  await finish(options, { client, cluster, step, finishAt, end });

  await step({
    what: 'records',
    async work() {
      const inAzure = leftInAzure(await cluster.records());
      if (options.detach) left.push(...inAzure);
      const isKept = !options.detach && inAzure.length > 0;
      return isKept ? `kept: a new install into namespace ${namespace} owns what they name` : undefined;
    },
    until: end,
  });
  return left;
}

interface Step {
  what: string;
  /** Resolves with what to say of it. */
  work(): Promise<string | undefined>;
  command?: string;
  /** Of Clock.now(): no try begins later. */
  until: number;
}
type RunStep = (step: Step) => Promise<boolean>;

/** Tries again until the time of the step is over. Resolves with whether it succeeded. */
function stepsOf({ clock, say }: UninstallOptions, left: Left[]): RunStep {
  return async ({ what, work, command = '', until }) => {
    for (;;) {
      try {
        const done = await work();
        if (done !== undefined) say(`${what}: ${done}`);
        return true;
      } catch (error) {
        // A right or an object of the chart that is missing does not come by itself.
        if (clock.now() + pollMs < until && !isForbidden(error) && !isNotFound(error)) {
          await sleep(clock, pollMs);
          continue;
        }
        const text = `${what}: ${messageOf(error)}`;
        say(text);
        left.push({ what: text, command });
        return false;
      }
    }
  };
}

interface Detach {
  client: KubeClient;
  cluster: Cluster;
  step: RunStep;
  finishAt: number;
  end: number;
}

async function detach({ clock, namespace, say }: UninstallOptions, { client, cluster, step, finishAt, end }: Detach): Promise<void> {
  const until = new Date(clock.wall() + end - clock.now());
  const asked = await step({
    what: 'Azure',
    async work() {
      await writeRequest(client, namespace, until);
      return 'the controller is asked to detach identities and to delete federated credentials';
    },
    until: finishAt,
  });
  if (!asked) return;
  let lease: LeaseObservation | undefined;
  let error = '';
  for (; clock.now() < finishAt; await sleep(clock, pollMs)) {
    try {
      if (!isDetaching(await cluster.records())) return say('Azure: nothing of this release is left there');
      lease = observeLease(lease, await cluster.lease(), clock.now());
      if (isSilent(lease, clock.now())) return say('Azure: no controller leads, so nobody detaches');
    } catch (caught) {
      error = `, and the last call to the API server failed: ${messageOf(caught)}`;
    }
  }
  say(`Azure: the controller has not ended in time${error}`);
}

async function finish({ namespace }: UninstallOptions, { client, cluster, step, finishAt, end }: Detach): Promise<void> {
  const stopAt = end - (end - finishAt) / 2;
  const cleanAt = end - 2 * pollMs;
  await step({
    what: 'controller',
    async work() {
      await cluster.scaleToZero(programs.controller);
      return 'stopped';
    },
    until: stopAt,
  });
  const isStopped = await step({
    what: 'pods of controller and broker',
    async work() {
      const running = await cluster.runningPods();
      if (running.length > 0) throw new Error(`still there: ${running.join(', ')}`);
      return 'gone';
    },
    until: stopAt,
  });
  let released = 0;
  await step({
    what: 'AzureAssignedIdentities',
    async work() {
      try {
        released += await cluster.releaseAssignments();
      } catch (error) {
        if (error instanceof AssignmentsLeftError) released += error.released;
        throw error;
      }
      return `${released} released: no finalizer of ours holds a namespace or a CRD`;
    },
    command: `kubectl patch azureassignedidentity NAME -n NAMESPACE --type=merge -p '{"metadata":{"finalizers":null}}'`,
    until: cleanAt,
  });
  if (isStopped)
    await step({
      what: 'Lease',
      async work() {
        await cluster.removeLease();
        return 'removed: a new install leads at once';
      },
      until: end,
    });
  await step({
    what: 'pod of helm test',
    async work() {
      await cluster.removeTestPod();
      return undefined;
    },
    until: end,
  });
  await step({
    what: 'request to the controller',
    async work() {
      await withdrawRequest(client, namespace);
      return undefined;
    },
    until: end,
  });
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** No call outlasts the uninstall. */
function bounded(client: KubeClient, clock: Clock, end: number): KubeClient {
  return {
    ...client,
    call: (method, path, options = {}) =>
      client.call(method, path, { ...options, timeoutMs: Math.max(100, Math.min(maxCallMs, end - clock.now())) }),
  };
}
