// Rows of a bench. Each is printed to stderr at once; main.ts prints and keeps the whole table.

/** The same figure of something simpler, measured in the same run: machines differ threefold, so a figure alone says little. In the unit of the row. */
export interface Reference {
  what: string;
  value: number;
}

/** What is good: at most, or at least, this ratio to the reference; without a reference this value. */
export type Goal = { reference?: Reference } & ({ atMost: number } | { atLeast: number } | object);

export interface Row {
  what: string;
  measured: string;
  reference: string;
  ratio: string;
  goal: string;
  /** Undefined without a goal. */
  isMet: boolean | undefined;
}

let rows: Row[] = [];

export function row(what: string, value: number, unit: string, goal: Goal = {}): void {
  const { reference } = goal;
  const compared = reference === undefined ? value : ratioOf(value, reference.value);
  const sign = unit === '' ? '' : ` ${unit}`;
  const target = targetOf(goal, compared, reference === undefined ? sign : '');
  rows.push({
    what,
    measured: `${round(value)}${sign}`,
    reference: reference === undefined ? '' : `${round(reference.value)}${sign}, ${reference.what}`,
    ratio: reference === undefined ? '' : round(compared),
    ...target,
  });
  console.error(`  ${what}: ${round(value)}${sign}${reference === undefined ? '' : ` (${round(compared)} of ${reference.what})`}`);
}

/** A row that is no number. */
export function textRow(what: string, measured: string): void {
  rows.push({ what, measured, reference: '', ratio: '', goal: '', isMet: undefined });
  console.error(`  ${what}: ${measured}`);
}

/** The rows since the last call. */
export function takeRows(): Row[] {
  const taken = rows;
  rows = [];
  return taken;
}

export const round = (value: number): string => (Math.abs(value) >= 100 ? Math.round(value).toString() : value.toFixed(2));

/** Two that are the same are equal, also at 0. */
const ratioOf = (value: number, reference: number): number => (value === reference ? 1 : value / reference);

function targetOf(goal: Goal, compared: number, sign: string): Pick<Row, 'goal' | 'isMet'> {
  if ('atMost' in goal) return { goal: `<= ${goal.atMost}${sign}`, isMet: compared <= goal.atMost };
  if ('atLeast' in goal) return { goal: `>= ${goal.atLeast}${sign}`, isMet: compared >= goal.atLeast };
  return { goal: '', isMet: undefined };
}

export const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.ceil(values.length * share) - 1] ?? Number.NaN;

export const median = (values: readonly number[]): number => quantile(values, 0.5);
