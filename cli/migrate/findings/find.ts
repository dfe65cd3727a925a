// Everything that the report says of a move: one small rule for each code. Pure.
import type { Finding, Section } from '../../finding.ts';
import type { MigrationInput } from '../input.ts';
import { bindingFindings } from './bindings.ts';
import { identityFindings } from './identities.ts';
import { programFindings } from './programs.ts';
import { unchangedFindings } from './unchanged.ts';
import { workloadFindings } from './workloads.ts';

/** In the order of the report. */
const parts: readonly { title: string; find(input: MigrationInput): Finding[] }[] = [
  { title: 'Moves unchanged', find: unchangedFindings },
  { title: 'MIC and NMI', find: programFindings },
  { title: 'AzureIdentities', find: identityFindings },
  { title: 'AzureIdentityBindings', find: bindingFindings },
  { title: 'Pods', find: workloadFindings },
];

/** `reading`: what could not be read. */
export function migrationSections(input: MigrationInput, reading: readonly Finding[]): Section[] {
  const found = parts.map(({ title, find }) => ({ title, findings: find(input) }));
  return [{ title: 'Read', findings: [...reading] }, ...found].filter(({ findings }) => findings.length > 0);
}
