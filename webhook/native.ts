// Native sidecars or classic ones: by setting, or by the version of the API server.
import type { SidecarMode } from '../api/injection.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { stringAt } from '../lib/kube/objects.ts';
import type { Logger } from '../lib/log.ts';

export type NativeSetting = 'auto' | 'always' | 'never';

/** From this minor on the oldest kubelet that version skew allows is 1.29, where native sidecars are on. */
const nativeSinceMinor = 32;

/** Throws when the answer of `/version` has no numbers; a trailing `+` as in `32+` is ignored. */
export function modeOf(version: unknown): SidecarMode {
  const major = Number.parseInt(stringAt(version, 'major') ?? '', 10);
  const minor = Number.parseInt(stringAt(version, 'minor') ?? '', 10);
  if (Number.isNaN(major) || Number.isNaN(minor)) throw new Error(`the API server's version is not numeric: ${JSON.stringify(version)}`);
  return major > 1 || minor >= nativeSinceMinor ? 'native' : 'classic';
}

export interface ModeWatch {
  /** Undefined until it is known. */
  readonly mode: SidecarMode | undefined;
  stop(): void;
}

/** Asks again now and then, because the control plane may be upgraded under a running webhook. */
export function followMode(options: { client: KubeClient; log: Logger; setting: NativeSetting; everyMs?: number }): ModeWatch {
  const { client, log, setting, everyMs = 300_000 } = options;
  if (setting !== 'auto') return { mode: setting === 'always' ? 'native' : 'classic', stop: () => undefined };

  let mode: SidecarMode | undefined;
  let timer: NodeJS.Timeout | undefined;
  const stopping = new AbortController();
  const ask = async (): Promise<void> => {
    try {
      const found = modeOf(await client.call('GET', '/version', { timeoutMs: 10_000, signal: stopping.signal }));
      if (found !== mode) log.info({ mode: found }, 'sidecar mode');
      mode = found;
    } catch (error) {
      if (stopping.signal.aborted) return;
      log.warn({ error: String(error) }, 'could not read the version of the API server');
    }
    timer = setTimeout(() => void ask(), mode === undefined ? 1_000 : everyMs);
  };
  void ask();
  return {
    get mode() {
      return mode;
    },
    stop() {
      stopping.abort();
      clearTimeout(timer);
    },
  };
}
