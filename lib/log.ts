import type { Logger } from 'pino';
import pino from 'pino';
import type { LogFormat } from '../common/log-format.ts';
import { textLine } from '../common/log-format.ts';
import type { LogLevel } from '../common/log-levels.ts';

export type { LogLevel } from '../common/log-levels.ts';
export type { Logger };

/** One line a record on standard output. Objects are logged field by field by the caller: nothing here would hide a token. */
export function createLogger(options: { program: string; level: LogLevel; format: LogFormat }): Logger {
  const settings = {
    level: options.level,
    base: { program: options.program },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return options.format === 'json' ? pino(settings) : pino(settings, { write: (line) => process.stdout.write(`${asText(line)}\n`) });
}

/** Without the program: the container that logs says which it is. */
function asText(line: string): string {
  const { time, level, msg = '', program, ...fields }: { time: string; level: string; msg?: string; program: string } = JSON.parse(line);
  return textLine({ time, level, message: msg, fields });
}

/** For tests and for code that may run without a log. */
export const silentLogger: Logger = pino({ level: 'silent' });
