// The code of a page: fenced blocks with their language, indented ones, and code within a line. Pure.

export interface Block {
  /** Of its first line of code, from 1. */
  line: number;
  /** The heading above it, with its signs; empty before the first one. */
  heading: string;
  /** What stands behind the fence; empty without it, and for an indented block. */
  language: string;
  /** Without the indentation of its list. */
  text: string;
}

export function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  let heading = '';
  let open: (Block & { indent: string; fenced: boolean }) | undefined;
  const close = () => {
    if (open !== undefined) blocks.push({ ...open, text: open.text.trimEnd() });
    open = undefined;
  };
  let isBlankBefore = true;
  for (const [index, line] of page.split('\n').entries()) {
    const [, indent = '', language] = /^( *)```(\w*)$/.exec(line) ?? [];
    if (open?.fenced === true) {
      if (language === '' && indent === open.indent) close();
      else open.text += `${line.slice(open.indent.length)}\n`;
    } else if (language !== undefined) {
      close();
      open = { line: index + 2, heading, language, text: '', indent, fenced: true };
    } else if (/^ {4}\S/.test(line) && (open !== undefined || isBlankBefore)) {
      open ??= { line: index + 1, heading, language: '', text: '', indent: '    ', fenced: false };
      open.text += `${line.slice(4)}\n`;
    } else if (open !== undefined && /^ {4}/.test(line)) open.text += `${line.slice(4)}\n`;
    else close();
    if (open === undefined && /^#+ /.test(line)) heading = line;
    isBlankBefore = line.trim() === '';
  }
  close();
  return blocks.map(({ line, heading: above, language, text }) => ({ line, heading: above, language, text }));
}

/** Code within a line of text, such as a command that a table names. */
export const inlineCodeOf = (page: string): Pick<Block, 'line' | 'text'>[] =>
  page
    .replaceAll(/^( *)```[\s\S]*?^\1```$/gm, (block) => block.replaceAll(/[^\n]/g, ''))
    .split('\n')
    .flatMap((text, index) => [...text.matchAll(/`([^`]+)`/g)].map(([, code = '']) => ({ line: index + 1, text: code })));
