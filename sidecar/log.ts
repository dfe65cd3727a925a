// One line a record. Callers pass no token, no secret and no request header.
import type { LogFormat } from '../common/log-format.ts';
import { textLine } from '../common/log-format.ts';
import type { LogLevel } from '../common/log-levels.ts';
import { logLevels } from '../common/log-levels.ts';

export type Fields = Record<string, string | number | boolean | undefined>;
export type Log = Record<LogLevel, (message: string, fields?: Fields) => void>;

export interface LogOptions {
  level: LogLevel;
  format: LogFormat;
  now: () => number;
  write: (line: string) => void;
}

export function createLog({ level: least, format, now, write }: LogOptions): Log {
  const at = (level: LogLevel) => (message: string, fields?: Fields) => {
    if (logLevels.indexOf(level) < logLevels.indexOf(least)) return;
    const time = new Date(now()).toISOString();
    const isText = format === 'text';
    write(isText ? textLine({ time, level, message, fields: fields ?? {} }) : JSON.stringify({ time, level, msg: message, ...fields }));
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
