// Kubernetes resource quantities, as far as CPU and memory need them.

const suffixes: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/** Cores or bytes; undefined for a value that the API server refuses. Numbers are accepted because YAML has them. */
export function parseQuantity(value: unknown): number | undefined {
  const text = typeof value === 'number' ? String(value) : typeof value === 'string' ? value : '';
  const match = /^\+?(?<digits>\d+(?:\.\d*)?|\.\d+)(?:(?<suffix>[numkMGTP]|[KMGTP]i)|[eE](?<exponent>[+-]?\d{1,2}))?$/.exec(text);
  if (match?.groups === undefined) return undefined;
  const { digits = '', suffix = '', exponent } = match.groups;
  const factor = exponent === undefined ? suffixes[suffix] : 10 ** Number(exponent);
  return factor === undefined ? undefined : Number(digits) * factor;
}
