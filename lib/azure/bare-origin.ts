/** The origin of a URL that has nothing else; undefined for any other text. */
export function bareOriginOf(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null) return undefined;
  const { origin, pathname, search, hash, username, password } = url;
  return pathname === '/' && search === '' && hash === '' && username === '' && password === '' ? origin : undefined;
}
