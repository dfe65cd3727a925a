import type { Section } from '../finding.ts';
import { firstBroken } from '../finding.ts';
import { sectionsJson } from '../output/json.ts';
import { styleFor } from '../output/style.ts';
import { sectionsText } from '../output/text.ts';
import type { ExitCode, Terminal } from '../terminal.ts';

export interface ReportOptions {
  output: 'text' | 'json';
  color: 'auto' | 'always' | 'never';
}

export function report(sections: readonly Section[], { output, color }: ReportOptions, terminal: Terminal): ExitCode {
  terminal.write(output === 'json' ? sectionsJson(sections) : sectionsText(sections, styleFor(color, terminal)));
  return firstBroken(sections) === undefined ? 0 : 1;
}
