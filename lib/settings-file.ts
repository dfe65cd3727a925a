import { readFileSync } from 'node:fs';
import { SettingsError } from './settings.ts';

/** The text of a file that a setting names. Throws {@link SettingsError} with the flag and the reason when it cannot be read. */
export function readSettingsFile(flag: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    throw new SettingsError(`${flag} is '${file}', which cannot be read (${code}): accepted is a file`);
  }
}
