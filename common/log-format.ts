// Log records as text, for people who read them without a tool. JSON is the default, since tools read the other form badly.

export const logFormats = ['json', 'text'] as const;
export type LogFormat = (typeof logFormats)[number];

export interface LogRecord {
  /** RFC 3339. */
  time: string;
  level: string;
  message: string;
  fields: Readonly<Record<string, unknown>>;
}

/** `2026-11-30T21:00:00.000Z WARN message key=value`: one line, whatever a value holds, so that no value can pass for a record. */
export function textLine({ time, level, message, fields }: LogRecord): string {
  const pairs = Object.entries(fields).flatMap(([key, value]) => (value === undefined ? [] : [` ${key}=${shown(value)}`]));
  return `${time} ${level.toUpperCase()} ${escapeControls(message)}${pairs.join('')}`;
}

/** In quotes where it would not be one word. */
function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  return /^[^\s"=\p{C}]+$/u.test(text) ? text : quoted(text);
}

const quoted = (text: string): string => escapeControls(JSON.stringify(text));

/** Control characters and line separators, some of which JSON leaves as they are. */
export const escapeControls = (text: string): string =>
  text.replace(/[\p{Cc}\u2028\u2029]/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
