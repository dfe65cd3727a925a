// What creating pods at a rate costs the client, the API server and the webhook.
import { connectionsTo, cpuMs } from '../process-usage.ts';
import { quantile } from '../table.ts';
import type { PodClient } from './pod-load.ts';

/** What the pods of one load go through. */
export interface Subject {
  name: string;
  labels: Readonly<Record<string, string>>;
  /** Absent without a webhook. */
  webhook?: { pid: number; port: number };
}

export interface Measured {
  /** Of the creation of a pod, in milliseconds. */
  p50: number;
  p99: number;
  failed: number;
  /** Processor time for each pod. */
  apiServerMs: number;
  webhookMs: number;
  /** New ones from the API server. */
  connections: number;
}

export type Measure = (subject: Subject, load: { perSecond: number; seconds: number }) => Promise<Measured>;

/** `apiServer` is its process. */
export function createMeasure(pods: PodClient, apiServer: number): Measure {
  let loads = 0;
  return async ({ labels, webhook }, { perSecond, seconds }) => {
    const usage = () => ({ apiServer: cpuMs(apiServer), webhook: webhook === undefined ? 0 : cpuMs(webhook.pid) });
    const connections = () => (webhook === undefined ? new Set<string>() : connectionsTo(webhook.port));
    const [before, known] = [usage(), connections()];
    loads += 1;
    const { times, failed } = await pods.load({ prefix: `load-${loads}`, perSecond, seconds, labels });
    const [after, count] = [usage(), perSecond * seconds];
    return {
      p50: quantile(times, 0.5),
      p99: quantile(times, 0.99),
      failed,
      apiServerMs: (after.apiServer - before.apiServer) / count,
      webhookMs: (after.webhook - before.webhook) / count,
      connections: [...connections()].filter((each) => !known.has(each)).length,
    };
  };
}
