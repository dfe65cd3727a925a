// CHANGELOG.md as release notes and as the list of changes that Artifact Hub shows.

/** The part of one version, without its heading. Throws where there is none. */
export function releaseNotes(changelog: string, version: string): string {
  const [, after] = changelog.split(`\n## [${version}]`);
  if (after === undefined) throw new Error(`CHANGELOG.md has no heading ## [${version}]`);
  const [body = ''] = after.slice(after.indexOf('\n')).split(/^## /m);
  return `${body.trim()}\n`;
}

const kinds = ['added', 'changed', 'deprecated', 'removed', 'fixed', 'security'];

export interface Change {
  kind: string;
  description: string;
}

/** Each entry of the lists below headings such as `### Added`, as one line without links. Other headings count as changed. */
export function changesOf(notes: string): Change[] {
  return notes
    .split(/^### /m)
    .slice(1)
    .flatMap((section) => {
      const [heading = '', ...lines] = section.split('\n');
      const word = heading.trim().toLowerCase();
      const entries = lines.join('\n').split(/^- /m).slice(1);
      const kind = kinds.includes(word) ? word : 'changed';
      return entries.map((entry) => ({ kind, description: plain(entry) }));
    });
}

const plain = (text: string): string =>
  text
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll('`', '')
    .replaceAll(/\s+/g, ' ')
    .trim();
