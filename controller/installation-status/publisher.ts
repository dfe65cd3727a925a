// Keeps the ConfigMap with what only the leader knows (api/installation-status.ts) up to date.
import type { InstallationStatus } from '../../api/installation-status.ts';
import { statusConfigMapName, statusKey } from '../../api/installation-status.ts';
import type { Clock } from '../../common/clock.ts';
import { sleep } from '../../common/sleep.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { mergePatch } from '../../lib/kube/client.ts';
import { isNotFound } from '../../lib/kube/errors.ts';
import { configMaps, resourcePath } from '../../lib/kube/resources.ts';
import type { Logger } from '../../lib/log.ts';
import { onceIn } from '../../lib/once-in.ts';

export interface PublisherOptions {
  client: KubeClient;
  namespace: string;
  clock: Clock;
  log: Logger;
  read(): Omit<InstallationStatus, 'writtenAt'>;
}

/** A change is written after so long at most. */
const lookMs = 5_000;
/** So often it is written without a change, so that readers tell a status from a leftover. */
const heartbeatMs = 60_000;

/** Runs until it is stopped. */
export function publishStatus({ client, namespace, clock, log, read }: PublisherOptions): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const isDue = onceIn(10 * 60_000, clock);
  const { signal } = stopping;

  async function write(status: InstallationStatus): Promise<void> {
    const labels = { 'app.kubernetes.io/managed-by': 'aad-pod-identity-controller', 'app.kubernetes.io/component': 'installation-status' };
    const data = { [statusKey]: `${JSON.stringify(status, null, 1)}\n` };
    const place = { namespace, name: statusConfigMapName };
    try {
      await client.call('PATCH', resourcePath(configMaps, place), {
        contentType: mergePatch,
        body: { metadata: { labels }, data },
        signal,
      });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { ...place, labels }, data };
      await client.call('POST', resourcePath(configMaps, { namespace }), { body, signal });
    }
  }

  async function run(): Promise<void> {
    let written = { text: '', at: Number.NEGATIVE_INFINITY };
    while (!signal.aborted) {
      const status = read();
      const text = JSON.stringify(status);
      const now = clock.now();
      if (text !== written.text || now - written.at >= heartbeatMs) {
        try {
          await write({ ...status, writtenAt: new Date(clock.wall()).toISOString() });
          written = { text, at: now };
        } catch (error) {
          if (!signal.aborted && isDue(String(error)))
            log.warn({ configMap: statusConfigMapName, error: String(error) }, 'installation status not written');
        }
      }
      await sleep(clock, lookMs, signal);
    }
  }

  const running = run();
  return {
    async stop() {
      stopping.abort(new Error('stopped'));
      await running;
    },
  };
}
