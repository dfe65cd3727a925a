// The settings of a chart as a table: names, types and order from values.schema.json and values.yaml, texts from the comments of values.yaml.
import { parse } from 'yaml';
import { at, isRecord, stringAt } from '../common/records.ts';

export interface ChartValue {
  /** As in `--set`. */
  path: string;
  type: string;
  /** Empty where values.yaml does not set it and no program says. */
  fallback: string;
  text: string;
}

/** Values with the same first key; those without one have the name ''. */
export interface ChartGroup {
  name: string;
  text: string;
  values: ChartValue[];
}

/** What a program says about its setting. */
export interface ProgramSetting {
  description: string;
  form: string;
  fallback?: unknown;
}

interface Comment {
  path: string;
  text: string;
}

export interface ChartSource {
  valuesYaml: string;
  schema: unknown;
  /** By the path of the value. */
  programs: ReadonlyMap<string, ProgramSetting>;
}

/** Every value that the schema accepts, in the order of values.yaml. Maps whose keys are free, such as resources, are one value. */
export function chartGroups({ valuesYaml, schema, programs }: ChartSource): ChartGroup[] {
  const defaults: unknown = parse(valuesYaml);
  const accepted = leavesOf(schema, schema, []);
  const comments = commentsOf(valuesYaml, (path) => isAccepted(path, accepted));
  const texts = new Map(comments.map(({ path, text }) => [path, text]));
  const paths = inOrder([...accepted.keys()], [...texts.keys()]).filter((path) => !isDeprecated(accepted.get(path)) || texts.has(path));
  const values = paths.map((path): ChartValue => {
    const node = accepted.get(path);
    const program = programs.get(path);
    const fallback = at(defaults, ...path.split('.')) ?? program?.fallback;
    const group = parentOf(path);
    const isFirst = group.includes('.') && paths.find((other) => other.startsWith(`${group}.`)) === path;
    return {
      path,
      // A list is written as a list here, and with commas as a flag.
      type: at(node, 'type') === 'array' ? typeOf(node, schema) : (program?.form ?? typeOf(node, schema)),
      fallback: fallback === undefined ? '' : JSON.stringify(fallback),
      text: [isFirst && texts.get(group), toldBy(texts.get(path) ?? '', node) || program?.description, stringAt(node, 'description')]
        .filter(Boolean)
        .join(' '),
    };
  });
  const groups = Map.groupBy(values, ({ path }) => (path.includes('.') ? (path.split('.')[0] ?? '') : ''));
  return [...groups]
    .sort(([a], [b]) => Number(a !== '') - Number(b !== ''))
    .map(([name, members]) => ({ name, text: texts.get(name) ?? '', values: members }));
}

/** A comment that only lists what else the value may be says nothing beside its type. */
function toldBy(comment: string, node: unknown): string {
  const choices = at(node, 'enum');
  return Array.isArray(choices) && comment.split(', ').every((word) => choices.includes(word)) ? '' : comment;
}

/** As in values.yaml; a value that is not there comes last in its group. */
function inOrder(paths: readonly string[], mentioned: readonly string[]): string[] {
  const positionOf = (path: string): number => {
    const own = mentioned.indexOf(path);
    if (own >= 0) return own;
    const last = mentioned.findLastIndex((other) => other.startsWith(`${parentOf(path)}.`));
    return last >= 0 ? last + 0.5 : mentioned.length;
  };
  return [...paths].sort((a, b) => positionOf(a) - positionOf(b));
}

const parentOf = (path: string): string => path.split('.').slice(0, -1).join('.');

/** A setting, or a group of settings. */
const isAccepted = (path: string, accepted: ReadonlyMap<string, unknown>): boolean =>
  accepted.has(path) || [...accepted.keys()].some((candidate) => candidate.startsWith(`${path}.`));

function leavesOf(node: unknown, schema: unknown, path: readonly string[]): Map<string, unknown> {
  const resolved = resolve(node, schema);
  const properties = at(resolved, 'properties');
  if (isDeprecated(node) && isRecord(resolved)) return new Map([[path.join('.'), { ...resolved, deprecated: true }]]);
  const isGroup = path.length === 0 || (isRecord(properties) && stringAt(node, '$ref') === undefined) || path[0] === 'image';
  if (!isGroup || !isRecord(properties)) return new Map([[path.join('.'), resolved]]);
  return new Map(Object.entries(properties).flatMap(([name, child]) => [...leavesOf(child, schema, [...path, name])]));
}

/** Accepted for files of aad-pod-identity, and for former names. They are told only where values.yaml does. */
const isDeprecated = (node: unknown): boolean => at(node, 'deprecated') === true;

/** The target of `$ref: #/a/b`. */
function resolve(node: unknown, schema: unknown): unknown {
  const reference = stringAt(node, '$ref');
  return reference === undefined ? node : resolve(at(schema, ...reference.split('/').slice(1)), schema);
}

/** Without what only says that nothing is set. */
function typeOf(node: unknown, schema: unknown): string {
  const choices = at(node, 'enum');
  if (Array.isArray(choices)) return [...new Set(choices.map(String))].filter((choice) => choice !== '' && choice !== 'null').join(' | ');
  const alternatives = at(node, 'oneOf') ?? at(node, 'anyOf') ?? at(node, 'allOf');
  if (Array.isArray(alternatives)) return [...new Set(alternatives.map((one) => typeOf(resolve(one, schema), schema)))].join(' or ');
  const type = at(node, 'type');
  if (Array.isArray(type)) return type.filter((one) => one !== 'null').join(' or ');
  if (type === 'array') {
    const items = typeOf(resolve(at(node, 'items'), schema), schema);
    return items === 'any' ? 'list' : `list of ${items}`;
  }
  return typeof type === 'string' ? type : 'any';
}

/** Comment lines before a setting and the comment behind it, also of settings that are commented out themselves. */
function commentsOf(valuesYaml: string, accepts: (path: string) => boolean): Comment[] {
  const found: Comment[] = [];
  const groups: { indent: number; name: string }[] = [];
  let prose: string[] = [];
  const add = ({ name, indent, rest, isSet }: Setting): void => {
    while ((groups.at(-1)?.indent ?? -1) >= indent) groups.pop();
    const path = [...groups.map((group) => group.name), name].join('.');
    if (isSet) groups.push({ indent, name });
    const [, behind = ''] = /(?:^|\s)# (.*)$/.exec(rest) ?? [];
    found.push({ path, text: [...prose, behind].filter((part) => part !== '').join(' ') });
    prose = [];
  };
  for (const line of valuesYaml.split('\n')) {
    const set = settingIn(line, true);
    const indent = /^ */.exec(line)?.[0].length ?? 0;
    if (set !== undefined) {
      add(set);
      continue;
    }
    if (!line.trimStart().startsWith('# ')) {
      prose = [];
      continue;
    }
    const text = line.trimStart().slice(2);
    const commentedOut = settingIn(text, false);
    const parents = groups.filter((group) => group.indent < indent).map((group) => group.name);
    if (commentedOut !== undefined && accepts([...parents, commentedOut.name].join('.'))) add({ ...commentedOut, indent });
    // More than one space: a line of an example. A key alone: the start of one.
    else if (!/^\s|^[\w-]+:$/.test(text)) prose.push(text);
  }
  return found;
}

interface Setting {
  name: string;
  indent: number;
  /** Behind the colon. */
  rest: string;
  isSet: boolean;
}

function settingIn(line: string, isSet: boolean): Setting | undefined {
  const [, indent = '', name, rest = ''] = (isSet ? /^( *)([A-Za-z]\w*):(?: +(.*)|)$/ : /^()([A-Za-z]\w*):(?: +(.*)|)$/).exec(line) ?? [];
  return name === undefined ? undefined : { name, indent: indent.length, rest, isSet };
}
