// One JSON line a record. Callers pass no token, no secret and no request header.
import type { LogLevel } from '../common/log-levels.ts';
import { logLevels } from '../common/log-levels.ts';

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
