// Finds references that lead nowhere: paths in comments and pages, anchors of pages, numbers of decisions, npm scripts. Pure: from file texts to
// a list of problems, one line each, in the form `file:line reference: what is wrong`.
import path from 'node:path';

/** Text of every file, by its path from the root with forward slashes. */
export type Files = ReadonlyMap<string, string>;

interface Part {
  /** Where the text starts in its file. */
  offset: number;
  text: string;
}

interface Reference {
  offset: number;
  text: string;
  /** Undefined: it leads somewhere. */
  problem: string | undefined;
}

export function brokenReferences(files: Files): string[] {
  const context = contextOf(files);
  return [...files].flatMap(([file, content]) =>
    partsOf(file, content).flatMap((part) =>
      referencesIn(file, withoutUrls(part.text), context)
        .filter(({ problem }) => problem !== undefined)
        .map(({ offset, text, problem }) => `${file}:${lineAt(content, part.offset + offset)} ${text}: ${problem}`),
    ),
  );
}

/** References to documents that only the authors had. */
export function privateReferences(files: Files): string[] {
  return [...files].flatMap(([file, content]) =>
    [...content.matchAll(/\bdesign \d|\bspec\/[a-z-]+\.md|\bspec \d/g)].map(
      ({ 0: text, index }) => `${file}:${lineAt(content, index)} ${text}: not in this repository`,
    ),
  );
}

interface Context {
  files: Files;
  folders: ReadonlySet<string>;
  /** File names without their folders. */
  names: ReadonlySet<string>;
  /** By page: the anchors that its headings make. */
  anchors: ReadonlyMap<string, ReadonlySet<string>>;
  /** Numbers of the decisions in docs/adr. */
  decisions: ReadonlySet<string>;
  scripts: ReadonlySet<string>;
}

function contextOf(files: Files): Context {
  const paths = [...files.keys()];
  const manifest = JSON.parse(files.get('package.json') ?? '{}') as { scripts?: Record<string, string> };
  return {
    files,
    folders: new Set(paths.flatMap((file) => parentsOf(file))),
    names: new Set(paths.map((file) => path.posix.basename(file))),
    anchors: new Map([...files].filter(([file]) => file.endsWith('.md')).map(([file, content]) => [file, anchorsOf(content)])),
    decisions: new Set(paths.flatMap((file) => /^docs\/adr\/(\d{4})-/.exec(file)?.[1] ?? [])),
    scripts: new Set(Object.keys(manifest.scripts ?? {})),
  };
}

const parentsOf = (file: string): string[] =>
  file
    .split('/')
    .slice(0, -1)
    .map((_, index, segments) => segments.slice(0, index + 1).join('/'));

/** The anchors of a page as GitHub makes them: the heading in lower case, spaces as hyphens, without punctuation, a number where it comes again. */
export function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of withoutFences(page).matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const anchor = plain.replaceAll(/[^\p{L}\p{N}_ -]/gu, '').replaceAll(' ', '-');
    let unique = anchor;
    for (let count = 1; anchors.has(unique); count += 1) unique = `${anchor}-${count}`;
    anchors.add(unique);
  }
  return anchors;
}

const withoutFences = (page: string): string => page.replaceAll(/^(```|~~~)[\s\S]*?^\1/gm, blank);
const withoutUrls = (text: string): string => text.replaceAll(/\bhttps?:\/\/\S+/g, blank);
/** As long as it was, so that places stay the same. */
const blank = (text: string): string => text.replaceAll(/[^\n]/g, ' ');
const lineAt = (content: string, offset: number): number => content.slice(0, offset).split('\n').length;

/** A comment begins where nothing or a space stands before it: `https://` and a glob such as `test/*.ts` begin none. */
const slashComments = /(?<=^|[\s{(,;])(?:\/\/.*|\/\*[\s\S]*?\*\/)/gm;
const hashComments = /(?<=^|\s)#.*/gm;

/** What of a file is text for people: a page as a whole, of code the comments. */
function partsOf(file: string, content: string): Part[] {
  if (file.endsWith('.md')) return [{ offset: 0, text: content }];
  const comments = /\.(ts|mjs)$/.test(file)
    ? slashComments
    : /\.(ya?ml|tpl|txt)$|(^|\/)(Dockerfile|run|\.\w+)$/.test(file)
      ? hashComments
      : undefined;
  return comments === undefined ? [] : [...content.matchAll(comments)].map(({ 0: text, index }) => ({ offset: index, text }));
}

const beginsHere = '(?<![\\w@/:.$*<>{}\\\\-])';
const fileName = new RegExp(`${beginsHere}(?:\\.{1,2}/)*(?:[\\w.-]+/)*[\\w.-]*\\w\\.(?:ts|mjs|md|json|ya?ml|tpl)\\b(?:#[\\w-]+)?`, 'g');
const folderName = new RegExp(`${beginsHere}(?:[\\w.-]+/)+(?![\\w.*{<$[-])`, 'g');

function referencesIn(file: string, text: string, context: Context): Reference[] {
  const found: Reference[] = [];
  const add = (pattern: RegExp, problemOf: (text: string, captured: string) => string | undefined, where = text) => {
    for (const { 0: whole, 1: captured = '', index } of where.matchAll(pattern))
      found.push({ offset: index, text: whole, problem: problemOf(whole, captured) });
  };
  add(/\]\(([^)\s]+)\)/g, (_, target) => (file.endsWith('.md') ? problemOfLink(file, target, context) : undefined));
  // What a link shows may be short for where it leads, which is checked above.
  const plain = text.replaceAll(/\[[^\]]*\](?=\()/g, blank);
  add(fileName, (name) => problemOfName(file, name, context), plain);
  add(folderName, (name) => problemOfFolder(name, context), plain);
  add(/\bADR (\d{1,4})\b/g, (_, number) => (context.decisions.has(number.padStart(4, '0')) ? undefined : 'no such decision in docs/adr'));
  add(/\bnpm run ([a-z][\w:-]*)/g, (_, script) => (context.scripts.has(script) ? undefined : 'no such script in package.json'));
  return found;
}

/** A link of a page, which GitHub resolves from the page's own folder. */
function problemOfLink(file: string, target: string, context: Context): string | undefined {
  const [name = '', anchor] = target.split('#');
  // Of another site, or blank where the address was.
  if (/^[a-z]+:/.test(target) || (name.trim() === '' && anchor === undefined)) return undefined;
  const linked = name === '' ? file : path.posix.join(path.posix.dirname(file), decodeURI(name)).replace(/\/$/, '');
  if (context.folders.has(linked)) return undefined;
  return context.files.has(linked) ? problemOfAnchor(linked, anchor, context) : 'no such file';
}

/** A path from the root or from the file's own folder. A page may name files of many folders by their last part. */
function problemOfName(file: string, reference: string, context: Context): string | undefined {
  const [name = '', anchor] = reference.split('#');
  const own = path.posix.join(path.posix.dirname(file), name);
  const found = [path.posix.normalize(name), own].find((candidate) => context.files.has(candidate));
  if (found !== undefined) return problemOfAnchor(found, anchor, context);
  if (file.endsWith('.md') && context.names.has(name)) return undefined;
  return isOurs(name, context) ? 'no such file' : undefined;
}

/** Data files of other programs, such as azure.json or a chart's values.yaml, are named by people too. */
function isOurs(name: string, context: Context): boolean {
  if (/\.(ts|mjs|md)$/.test(name)) return true;
  return name.startsWith('.') || (name.includes('/') && context.folders.has(name.split('/')[0] ?? ''));
}

function problemOfFolder(name: string, context: Context): string | undefined {
  const [first = ''] = name.split('/');
  return context.folders.has(first) && !context.folders.has(name.slice(0, -1)) ? 'no such folder' : undefined;
}

function problemOfAnchor(page: string, anchor: string | undefined, context: Context): string | undefined {
  if (anchor === undefined || context.anchors.get(page)?.has(anchor) === true) return undefined;
  return `no such heading in ${page}`;
}
