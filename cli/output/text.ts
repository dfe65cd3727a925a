import type { Finding, Section } from '../finding.ts';
import { firstBroken, isProblem } from '../finding.ts';
import type { Style } from './style.ts';

/** `ending`: also the first broken link, with what to do. */
export function sectionsText(sections: readonly Section[], style: Style): string {
  const blocks = sections.map(({ title, findings }) =>
    [style.heading(title), ...findings.map((finding) => line(finding, style))].join('\n'),
  );
  return `${blocks.join('\n\n')}\n\n${ending(sections, style)}`;
}

function line(finding: Finding, style: Style): string {
  if (!isProblem(finding)) return `  ${style.mark(finding.status)} ${finding.title}`;
  return `  ${style.mark(finding.status)} ${finding.title}: ${finding.message} ${style.faint(`[${finding.code}]`)}`;
}

function ending(sections: readonly Section[], style: Style): string {
  const found = firstBroken(sections) ?? sections.flatMap(({ findings }) => findings).find(isProblem);
  if (found === undefined) return `${style.strong('Nothing is wrong.')}\n`;
  const intro =
    found.status === 'broken' ? 'First broken link' : found.status === 'warning' ? 'Works, with a warning' : 'Could not be checked';
  const command = found.command === undefined ? '' : `\n  $ ${found.command}`;
  return `${style.strong(`${intro}: ${found.code}`)}\n  ${found.advice}${command}\n  More: docs/troubleshooting.md#${found.code.toLowerCase()}\n`;
}
