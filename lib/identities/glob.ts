// Patterns with `*`, which stands for any characters within one path segment. Pure.

/** Lower case of ASCII letters only: `toLowerCase` would make `k` of the Kelvin sign, which Azure does not. */
export const asciiLowerCase = (text: string): string => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

/** Both texts count in lower case. */
export function matchesGlob(pattern: string, text: string): boolean {
  return matchesExactly(asciiLowerCase(pattern), asciiLowerCase(text));
}

/** Case counts. No pattern is slower than the product of both lengths, since tenants choose the text. */
export function matchesExactly(pattern: string, text: string): boolean {
  const wanted = pattern.split('/');
  const given = text.split('/');
  return wanted.length === given.length && wanted.every((segment, index) => matchesSegment(segment, given[index] ?? ''));
}

/** Takes as little as possible for each `*` and comes back to the last one only: an earlier one cannot help where the last one does not. */
function matchesSegment(pattern: string, text: string): boolean {
  let at = 0;
  let star: { pattern: number; text: number } | undefined;
  let position = 0;
  while (position < text.length) {
    if (pattern[at] === '*') {
      star = { pattern: at, text: position };
      at += 1;
    } else if (at < pattern.length && pattern[at] === text[position]) {
      at += 1;
      position += 1;
    } else if (star !== undefined) {
      star = { ...star, text: star.text + 1 };
      at = star.pattern + 1;
      position = star.text;
    } else return false;
  }
  while (pattern[at] === '*') at += 1;
  return at === pattern.length;
}
