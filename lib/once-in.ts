const remembered = 1_000;

/** True for the same text once in `ms`: what a thousand objects have in common, or every attempt for hours, is one line of the log. */
export function onceIn(ms: number, monotonic: () => number = () => performance.now()): (text: string) => boolean {
  const told = new Map<string, number>();
  return (text) => {
    const now = monotonic();
    const last = told.get(text);
    if (last !== undefined && now - last < ms) return false;
    if (told.size >= remembered) told.clear();
    told.set(text, now);
    return true;
  };
}
