// A real Prometheus that scrapes given addresses of this machine every second.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { at, isRecord } from '../../../lib/kube/objects.ts';
import { start } from '../../cluster/processes.ts';
import { findPrometheus } from '../../cluster/prometheus.ts';
import { freePort } from '../../harness/free-port.ts';
import { eventually } from '../../harness/wait.ts';

export interface PrometheusServer {
  /** Instant query. Rejects for one that Prometheus refuses. */
  query(expression: string): Promise<unknown[]>;
  /** `data` of a GET below /api/v1. */
  get(resource: string): Promise<unknown>;
  stop(): Promise<void>;
}

/** Resolves when it answers. `targets`: by job, `address:port`. */
export async function startPrometheus(targets: Record<string, string>, ruleFile: string): Promise<PrometheusServer> {
  const { prometheus } = await findPrometheus((line) => console.log(line));
  const folder = await mkdtemp(path.join(os.tmpdir(), 'prometheus-'));
  const config = path.join(folder, 'config.json');
  const scrapes = Object.entries(targets).map(([job, target]) => ({ job_name: job, static_configs: [{ targets: [target] }] }));
  const global = { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' };
  await writeFile(config, JSON.stringify({ global, rule_files: [ruleFile], scrape_configs: scrapes }));
  const address = `127.0.0.1:${await freePort()}`;
  const args = [`--config.file=${config}`, `--storage.tsdb.path=${path.join(folder, 'data')}`, `--web.listen-address=${address}`];
  const server = start({ name: 'prometheus', file: prometheus, args }, path.join(folder, 'log'));

  async function get(resource: string): Promise<unknown> {
    const answer = await fetch(`http://${address}/api/v1/${resource}`);
    const body: unknown = await answer.json();
    if (at(body, 'status') !== 'success') throw new Error(`${resource}: ${String(at(body, 'error'))}`);
    return isRecord(body) ? body.data : undefined;
  }
  const isReady = () =>
    fetch(`http://${address}/-/ready`).then(
      ({ status }) => status === 200,
      () => false,
    );
  await eventually(isReady, 'Prometheus is ready');
  return {
    get,
    async query(expression) {
      const result = at(await get(`query?query=${encodeURIComponent(expression)}`), 'result');
      return Array.isArray(result) ? result : [];
    },
    async stop() {
      await server.stop(5);
      await rm(folder, { recursive: true });
    },
  };
}
