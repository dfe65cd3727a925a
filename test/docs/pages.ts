// What of a page a reader types or copies, and what is wrong with it. Pure but for the schemas and scripts that it compares with.
import { parseAllDocuments } from 'yaml';
import { isRecord } from '../../lib/kube/objects.ts';
import { problemsOfAz } from './az.ts';
import type { Block } from './blocks.ts';
import { blocksOf, inlineCodeOf } from './blocks.ts';
import { problemsOfHelm } from './helm.ts';
import { problemsOfKubectl } from './kubectl.ts';
import { problemsOfNpm } from './npm.ts';
import { looksLikeValues, problemsOfObject, problemsOfValues } from './schemas.ts';
import type { ShellCommand } from './shell.ts';
import { commandsIn } from './shell.ts';

export interface Checked {
  /** `page:line what: problem`. */
  problems: string[];
  /** Programs whose command lines nothing here understands, with how often they come. */
  unchecked: Map<string, number>;
  /** How many commands were compared with a table or a grammar. */
  commands: number;
  /** How many of them need real Azure. */
  azure: number;
  manifests: number;
}

type Check = (words: readonly string[]) => readonly string[];

const programs: Readonly<Record<string, Check>> = {
  az: problemsOfAz,
  helm: problemsOfHelm,
  kubectl: problemsOfKubectl,
  npm: problemsOfNpm,
};

/** Of the shell, or of every machine: nothing of this project is in their arguments. */
const plain = new Set(['export', 'eval', 'cat', 'cd', 'echo']);
/** Programs of others. Their arguments are read by people only. */
const others = new Set(['curl', 'docker', 'skopeo', 'cosign', 'sha256sum', 'install', 'openssl', 'nsenter', 'jq']);

export const nothingChecked = (): Checked => ({ problems: [], unchecked: new Map(), commands: 0, azure: 0, manifests: 0 });

/** Checks every block and every command within a line of a page, and adds what it found to `checked`. */
export function checkPage(name: string, page: string, checked: Checked): void {
  const report: Report = (line, problems) => checked.problems.push(...problems.map((problem) => `${name}:${line} ${problem}`));
  const attempt = (line: number, check: () => void) => {
    try {
      check();
    } catch (error) {
      report(line, [error instanceof Error ? error.message : String(error)]);
    }
  };
  for (const block of blocksOf(page)) attempt(block.line, () => checkBlock(block, checked, report));
  for (const { line, text } of inlineCodeOf(page))
    if (/^(?:az|helm|kubectl|npm) \w/.test(text)) attempt(line, () => checkMention(text, line, checked, report));
}

/** A sentence may leave away of a command what it is not about. */
const isIncomplete = (problem: string): boolean => /names nothing$|needs a value$|names are expected$/.test(problem);

function checkMention(text: string, line: number, checked: Checked, report: Report): void {
  for (const command of commandsIn(text))
    checkCommand(command, checked, (_, problems) =>
      report(
        line,
        problems.filter((problem) => !isIncomplete(problem)),
      ),
    );
}

type Report = (line: number, problems: readonly string[]) => void;

function checkBlock({ language, text, line }: Block, checked: Checked, report: Report): void {
  if (language === 'sh' || language === '') {
    for (const command of commandsIn(text)) checkCommand(command, checked, (at, problems) => report(line + at, problems));
  } else if (language === 'yaml') {
    report(line, problemsOfYaml(text, checked));
  } else if (language === 'json') JSON.parse(text);
  else if (!['text', 'ts', 'mermaid'].includes(language)) report(line, [`a block in "${language}": nothing reads it`]);
}

function checkCommand({ words: all, input, line }: ShellCommand, checked: Checked, report: Report): void {
  const words = all[0] === 'sudo' ? all.slice(1) : all;
  const [program = '', ...rest] = words;
  if (input !== undefined) report(line, problemsOfInput(words, input, checked));
  if (plain.has(program)) return;
  const check = programs[program];
  if (check !== undefined) {
    checked.commands += 1;
    if (program === 'az') checked.azure += 1;
    report(line, check(rest));
  } else if (others.has(program)) checked.unchecked.set(program, (checked.unchecked.get(program) ?? 0) + 1);
  else report(line, [`unknown command ${program}`]);
}

/** A here-document is an object for kubectl, or a file that `cat` writes. */
function problemsOfInput([program]: readonly string[], input: string, checked: Checked): readonly string[] {
  if (program !== 'kubectl' && input.startsWith('{')) {
    JSON.parse(input);
    return [];
  }
  return problemsOfYaml(input, checked);
}

/** What readers put in the place of a variable or of a `<word>`. */
const identity = '/subscriptions/0/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i';
const filled = (text: string): string =>
  text
    .replaceAll('$IDENTITY', identity)
    .replaceAll(/\$[A-Z_]+_GROUP_ID\b|\$NODE_GROUP_ID\b/g, '/subscriptions/0/resourceGroups/g')
    .replaceAll(/\$\{?[A-Z_]+\}?|<[a-z][^<>\n]*>/g, '00000000-0000-4000-8000-000000000000')
    .replaceAll('/subscriptions/.../', '/subscriptions/0/');

function problemsOfYaml(text: string, checked: Checked): readonly string[] {
  return parseAllDocuments(filled(text)).flatMap((document) => {
    if (document.errors.length > 0) return document.errors.map(({ message }) => message);
    const object: unknown = document.toJS();
    if (object === null) return [];
    if (!isRecord(object)) return ['neither an object nor values'];
    checked.manifests += 1;
    const problems = problemsOfObject(object);
    if (problems !== undefined) return problems;
    if ('kind' in object) return 'apiVersion' in object ? [] : ['an object without apiVersion'];
    if (looksLikeValues(object)) return problemsOfValues(object);
    // A part of an object, such as the labels of a pod template.
    return Object.keys(object).every((key) => key === 'metadata' || key === 'spec') ? [] : ['neither an object nor values'];
  });
}
