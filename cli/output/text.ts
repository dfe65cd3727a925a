import { escapeControls } from '../../common/log-format.ts';
import type { Finding, Problem, Section } from '../finding.ts';
import { firstBroken, isProblem } from '../finding.ts';
import type { Style } from './style.ts';

export function sectionsText(sections: readonly Section[], style: Style): string {
  const blocks = sections.map(({ title, findings }) =>
    [style.heading(title), ...findings.map((finding) => findingLine(finding, style))].join('\n'),
  );
  return `${blocks.join('\n\n')}\n\n${ending(sections, style)}`;
}

/** What others wrote into objects must not steer the terminal. */
export function findingLine(finding: Finding, style: Style): string {
  const line = `  ${style.mark(finding.status)} ${escapeControls(finding.title)}`;
  return isProblem(finding) ? `${line}: ${escapeControls(finding.message)} ${style.faint(`[${finding.code}]`)}` : line;
}

const intros: Record<Problem['status'], string> = {
  broken: 'First broken link',
  waiting: 'Not ready yet',
  warning: 'Works, with a warning',
  unknown: 'Could not be checked',
};

/** The one problem that the reader should look at first, and what to do about it. */
function ending(sections: readonly Section[], style: Style): string {
  const problems = sections.flatMap(({ findings }) => findings).filter(isProblem);
  const found = firstBroken(sections) ?? problems.find(({ status }) => status === 'waiting') ?? problems[0];
  if (found === undefined) return `${style.strong('Nothing is wrong.')}\n`;
  const command = found.command === undefined ? '' : `\n  $ ${found.command}`;
  return `${style.strong(`${intros[found.status]}: ${found.code}`)}\n  ${found.advice}${command}\n  More: docs/troubleshooting.md#${found.code.toLowerCase()}\n`;
}
