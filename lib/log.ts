import type { Logger } from 'pino';
import pino from 'pino';
import type { LogLevel } from '../common/log-levels.ts';

export type { LogLevel } from '../common/log-levels.ts';
export type { Logger };

/** One JSON line a record on standard output. Objects are logged field by field by the caller: nothing here would hide a token. */
export function createLogger(options: { program: string; level: LogLevel }): Logger {
  return pino({
    level: options.level,
    base: { program: options.program },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  });
}

/** For tests and for code that may run without a log. */
export const silentLogger: Logger = pino({ level: 'silent' });
