// Whether the proxy is injected as a native sidecar or as a classic container: by setting, or by the version of the API server.
import type { SidecarMode } from '../api/injection.ts';
import type { Clock } from '../common/clock.ts';
import { stringAt } from '../common/records.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import type { Logger } from '../lib/log.ts';

export type NativeSidecarSetting = 'auto' | 'always' | 'never';

/** The oldest kubelet that a 1.32 API server supports is 1.29, where native sidecars are on by default: docs/reference/kubernetes.md. */
const nativeSinceMinor = 32;

const refreshMs = 300_000;
const retryMs = 1_000;

/** Throws for a response of `/version` without numbers. A trailing `+`, as in `32+`, is ignored. */
export function sidecarModeOf(version: unknown): SidecarMode {
  const major = Number.parseInt(stringAt(version, 'major') ?? '', 10);
  const minor = Number.parseInt(stringAt(version, 'minor') ?? '', 10);
  if (Number.isNaN(major) || Number.isNaN(minor)) throw new Error(`the API server's version is not numeric: ${JSON.stringify(version)}`);
  return major > 1 || minor >= nativeSinceMinor ? 'native' : 'classic';
}

export interface SidecarModeWatch {
  /** Undefined until the version is known. */
  readonly mode: SidecarMode | undefined;
  stop(): void;
}

export interface SidecarModeOptions {
  client: Pick<KubeClient, 'call'>;
  log: Logger;
  clock: Clock;
  setting: NativeSidecarSetting;
}

/** Reads the version again every five minutes, because the control plane may be upgraded while the webhook runs. */
export function watchSidecarMode({ client, log, clock, setting }: SidecarModeOptions): SidecarModeWatch {
  if (setting !== 'auto') return { mode: setting === 'always' ? 'native' : 'classic', stop: () => undefined };

  let mode: SidecarMode | undefined;
  let cancel = () => {};
  const stopping = new AbortController();
  const refresh = async (): Promise<void> => {
    try {
      const found = sidecarModeOf(await client.call('GET', '/version', { timeoutMs: 10_000, signal: stopping.signal }));
      if (found !== mode) log.info({ mode: found }, 'sidecar mode');
      mode = found;
    } catch (error) {
      if (!stopping.signal.aborted) log.warn({ error: String(error) }, 'could not read the version of the API server');
    }
    if (!stopping.signal.aborted) cancel = clock.after(mode === undefined ? retryMs : refreshMs, () => void refresh());
  };
  void refresh();
  return {
    get mode() {
      return mode;
    },
    stop() {
      stopping.abort();
      cancel();
    },
  };
}
