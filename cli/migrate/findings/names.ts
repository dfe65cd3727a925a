/** So many are named; the rest is counted. */
const shown = 10;

export function names(items: readonly string[]): string {
  const more = items.length - shown;
  return more > 0 ? `${items.slice(0, shown).join(', ')} and ${more} more` : items.join(', ');
}

export const count = (amount: number, singular: string, plural = `${singular}s`): string => `${amount} ${amount === 1 ? singular : plural}`;
