/**
 * Thousands of pods carry the same few labels, references and names, each parsed anew from its own JSON. The returned function gives equal values
 * one and the same object, which must not be changed. It knows so many at a time; beyond that it begins anew, which costs memory, never correctness.
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
