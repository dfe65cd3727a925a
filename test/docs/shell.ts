// The commands of a block of shell: enough of its grammar for documentation, with `<client id>` as a word of its own. Pure.

export interface ShellCommand {
  /** Of its first word, from 0. */
  line: number;
  /** Without quotes, redirections and variables that are set for it. Variables stay as they are written. */
  words: readonly string[];
  /** Its here-document. */
  input?: string;
}

class ShellError extends Error {
  override readonly name = 'ShellError';
  readonly code = 'unreadable_shell';
}

/** With one more pair of parentheses inside at most. */
const substitution = String.raw`\$\((?:[^()]|\([^()]*\))*\)`;

/** By kind, the first that matches counts. `atStart`: only where a word may begin. */
const tokens: readonly { kind: TokenKind; pattern: RegExp; atStart?: true }[] = [
  { kind: 'space', pattern: /(?:[^\S\n]|\\\n)+/y },
  { kind: 'newline', pattern: /\n/y },
  { kind: 'comment', pattern: /#.*/y, atStart: true },
  { kind: 'hereDocument', pattern: /<<'?(\w+)'?/y },
  { kind: 'text', pattern: /<[A-Za-z][^<>|&\n]*>/y },
  { kind: 'redirection', pattern: /(?:\d?>>?|<)\s*(?:&\d|"[^"\n]*"|\S+)/y, atStart: true },
  { kind: 'redirection', pattern: /(?:>>?|<)\s*(?:&\d|"[^"\n]*"|\S+)/y },
  { kind: 'substitution', pattern: new RegExp(substitution, 'y') },
  { kind: 'quoted', pattern: /'([^']*)'/y },
  { kind: 'doubleQuoted', pattern: new RegExp(`"((?:\\\\[\\s\\S]|${substitution}|[^"\\\\])*)"`, 'y') },
  { kind: 'end', pattern: /\|\|?|&&?|;/y },
  { kind: 'text', pattern: /\\(.)/y },
  { kind: 'text', pattern: /[^\s'"]/y },
];

type TokenKind =
  | 'space'
  | 'newline'
  | 'comment'
  | 'hereDocument'
  | 'redirection'
  | 'substitution'
  | 'quoted'
  | 'doubleQuoted'
  | 'end'
  | 'text';

/** Throws {@link ShellError} where a quote or a here-document has no end. */
export function commandsIn(text: string, firstLine = 0): ShellCommand[] {
  return new Reader(text, firstLine).read();
}

interface Word {
  text: string;
  line: number;
  isQuoted: boolean;
}

class Reader {
  private readonly commands: ShellCommand[] = [];
  private readonly text: string;
  private readonly firstLine: number;
  private offset = 0;
  private words: Word[] = [];
  private word: Word | undefined;
  /** Of the here-document that begins on the next line. */
  private delimiter: string | undefined;

  constructor(text: string, firstLine: number) {
    this.text = text;
    this.firstLine = firstLine;
  }

  read(): ShellCommand[] {
    while (this.offset < this.text.length) this.take();
    this.endCommand();
    return this.commands;
  }

  private take(): void {
    for (const { kind, pattern, atStart } of tokens) {
      if (atStart === true && this.word !== undefined) continue;
      pattern.lastIndex = this.offset;
      const match = pattern.exec(this.text);
      if (match === null) continue;
      this.accept(kind, match[0], match[1]);
      return;
    }
    throw new ShellError(`${this.text[this.offset]} is not closed`);
  }

  private accept(kind: TokenKind, whole: string, inner?: string): void {
    const [line, start] = [this.line(), this.offset];
    this.offset += whole.length;
    if (kind === 'text') this.append(inner ?? whole, line);
    else if (kind === 'quoted') this.append(inner ?? '', line, true);
    else if (kind === 'doubleQuoted') {
      this.append((inner ?? '').replaceAll(/\\(["\\$`])/g, '$1'), line, true);
      for (const match of whole.matchAll(new RegExp(substitution, 'g'))) this.addInner(match[0], start + match.index);
    } else if (kind === 'substitution') {
      this.append(whole, line);
      this.addInner(whole, start);
    } else if (kind === 'hereDocument') this.delimiter = inner;
    else if (kind === 'newline') this.endLine();
    else if (kind === 'end') this.endCommand();
    else this.endWord();
  }

  private line(offset = this.offset): number {
    return this.firstLine + this.text.slice(0, offset).split('\n').length - 1;
  }

  private append(text: string, line: number, isQuoted = false): void {
    this.word ??= { text: '', line, isQuoted: false };
    this.word.text += text;
    this.word.isQuoted ||= isQuoted;
  }

  /** The commands of `$(...)`. */
  private addInner(whole: string, offset: number): void {
    this.commands.push(...commandsIn(whole.slice(2, -1), this.line(offset)));
  }

  private endWord(): void {
    if (this.word !== undefined) this.words.push(this.word);
    this.word = undefined;
  }

  private endLine(): void {
    this.endCommand(this.delimiter === undefined ? undefined : this.hereDocument(this.delimiter));
    this.delimiter = undefined;
  }

  private hereDocument(delimiter: string): string {
    const lines = this.text.slice(this.offset).split('\n');
    const end = lines.indexOf(delimiter);
    if (end < 0) throw new ShellError(`no line ${delimiter} ends the here-document`);
    this.offset += lines.slice(0, end + 1).join('\n').length + 1;
    return lines.slice(0, end).join('\n');
  }

  private endCommand(input?: string): void {
    this.endWord();
    const words = this.words;
    this.words = [];
    while (words[0] !== undefined && isSkipped(words[0])) words.shift();
    const [first] = words;
    if (first === undefined || (first.text === 'for' && !first.isQuoted)) return;
    this.commands.push({ line: first.line, words: words.map(({ text }) => text), ...(input === undefined ? {} : { input }) });
  }
}

/** Words before the name of a command: of a loop or a condition, or variables that are set for it. */
const isSkipped = ({ text, isQuoted }: Word): boolean =>
  (!isQuoted && ['do', 'then', 'else', 'done', 'fi'].includes(text)) || /^[A-Za-z_]\w*=/.test(text);
