// One JSON line per event worth having. Tokens, secrets and request headers are never passed to it.
export const logLevels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];

export type Fields = Record<string, string | number | boolean | undefined>;
export type Log = Record<LogLevel, (message: string, fields?: Fields) => void>;

export function createLog(options: { level: LogLevel; now: () => number; write: (line: string) => void }): Log {
  const least = logLevels.indexOf(options.level);
  const at = (level: LogLevel) => (message: string, fields?: Fields) => {
    if (logLevels.indexOf(level) < least) return;
    options.write(JSON.stringify({ time: new Date(options.now()).toISOString(), level, msg: message, ...fields }));
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** First occurrence of each key only: for conditions that would otherwise repeat with every request. */
export function once(): (key: string, log: () => void) => void {
  const seen = new Set<string>();
  return (key, log) => {
    if (seen.has(key)) return;
    seen.add(key);
    log();
  };
}
