import type { Section } from '../finding.ts';
import { firstBroken } from '../finding.ts';

/** Codes are stable; titles and messages are not. `firstBroken`: the code of the first thing that is broken, or null. */
export function sectionsJson(sections: readonly Section[]): string {
  return `${JSON.stringify({ firstBroken: firstBroken(sections)?.code ?? null, sections }, null, 2)}\n`;
}
