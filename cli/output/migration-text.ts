import { escapeControls } from '../../common/log-format.ts';
import type { Finding } from '../finding.ts';
import { isBroken, isProblem } from '../finding.ts';
import type { MigrationReport } from '../migrate/report.ts';
import { valuesText } from '../migrate/values.ts';
import type { Style } from './style.ts';
import { findingLine } from './text.ts';

export function migrationText({ sections, values, steps, federation, incomplete }: MigrationReport, style: Style): string {
  const blocks = [
    ...sections.map(({ title, findings }) => [style.heading(title), ...findings.flatMap((finding) => withAdvice(finding, style))]),
    [style.heading('Values'), ...indented(valuesText(values).trimEnd().split('\n'))],
    ...(federation === undefined
      ? []
      : [
          [
            style.heading('Federation'),
            ...federation.map((found) =>
              'commands' in found
                ? `  ${found.identity}: can be federated`
                : `  ${found.identity}: ${escapeControls(found.message)} ${style.faint(`[${found.code}]`)}`,
            ),
          ],
        ]),
    ...steps.map(({ title, commands, note }) => [
      style.heading(title),
      ...(note === undefined ? [] : [`  ${note}`]),
      ...commands.map((command) => `  $ ${command}`),
    ]),
  ];
  const count = sections.flatMap(({ findings }) => findings).filter(isBroken).length;
  const ending = [
    ...(incomplete ? ['Something could not be read, so the report is incomplete.'] : []),
    count === 0
      ? 'Nothing that was read would break.'
      : `${count} ${count === 1 ? 'thing' : 'things'} would break: see ${style.mark('broken').trim()} above.`,
  ].join(' ');
  return `${blocks.map((lines) => lines.join('\n')).join('\n\n')}\n\n${style.strong(ending)}\n  Codes, details and the way back: docs/migration.md\n`;
}

function withAdvice(finding: Finding, style: Style): string[] {
  const line = findingLine(finding, style);
  if (!isProblem(finding)) return [line];
  return [
    line,
    ...indented([finding.advice, ...(finding.command === undefined ? [] : [`$ ${finding.command}`])]).map((text) => `    ${text}`),
  ];
}

const indented = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`);
