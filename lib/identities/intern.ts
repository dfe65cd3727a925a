/**
 * Returns a function that gives equal values one and the same object, which must not be changed. Thousands of pods carry the same few labels, references
 * and names, and each is parsed from JSON of its own. After `limit` values it starts anew: that costs memory and nothing else.
 */
export function interner<T>(limit = 10_000): (value: T) => T {
  const known = new Map<string, T>();
  return (value) => {
    const content = JSON.stringify(value);
    const same = known.get(content);
    if (same !== undefined) return same;
    if (known.size >= limit) known.clear();
    known.set(content, value);
    return value;
  };
}

export const internText = interner<string>();
export const internMap = interner<Record<string, string>>();
