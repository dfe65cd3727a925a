// Kubernetes resource quantities, as far as CPU and memory need them.

const decimalExponents: Record<string, number> = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const binaryExponents: Record<string, number> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 };

/** Cores or bytes; undefined for a value that the API server refuses. Numbers are accepted because YAML has them. */
export function parseQuantity(value: unknown): number | undefined {
  return parseScaled(value, 0);
}

/**
 * In thousandths, rounded up: an integer up to 9 PB. The API server rounds the quantities of pods and LimitRanges in the same way, and compares
 * these numbers: docs/reference/kubernetes.md#limitranges-and-resourcequotas.
 */
export function parseMilliQuantity(value: unknown): number | undefined {
  const milli = parseScaled(value, 3);
  return milli === undefined ? undefined : Math.ceil(milli);
}

/** Times 10 to the power of `scale`. Decimal ones are read as one literal, since 9 * 0.001 is not 0.009. */
function parseScaled(value: unknown, scale: number): number | undefined {
  const text = typeof value === 'number' ? String(value) : typeof value === 'string' ? value : '';
  const match = /^\+?(?<digits>\d+(?:\.\d*)?|\.\d+)(?:(?<suffix>[numkMGTPE]|[KMGTPE]i)|[eE](?<exponent>[+-]?\d{1,2}))?$/.exec(text);
  if (match?.groups === undefined) return undefined;
  const { digits = '', suffix = '', exponent } = match.groups;
  const binary = binaryExponents[suffix];
  const decimal = exponent === undefined ? (decimalExponents[suffix] ?? 0) : Number(exponent);
  return Number(`${digits}e${decimal + scale}`) * 2 ** (binary ?? 0);
}
