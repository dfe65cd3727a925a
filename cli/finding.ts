// What a check says of one thing that it looked at.
import type { Code } from './codes.ts';

export type Finding = Passed | Skipped | Problem;

/** It is as it should be; `title` says what, in a few words. */
export interface Passed {
  readonly status: 'passed';
  readonly title: string;
}

/** There was nothing to look at, which is no fault; `title` says what was not looked at, and why. */
export interface Skipped {
  readonly status: 'skipped';
  readonly title: string;
}

export interface Problem {
  /**
   * `waiting`: it is under way and needs nobody. `warning`: tokens come nevertheless. `unknown`: it could not be found out, mostly for want of a
   * right. Only `broken` is a fault.
   */
  readonly status: 'broken' | 'waiting' | 'warning' | 'unknown';
  readonly code: Code;
  /** What was looked at, in a few words. */
  readonly title: string;
  /** What was found. */
  readonly message: string;
  /** What to do. */
  readonly advice: string;
  /** What to type, where one command does it or shows more. */
  readonly command?: string;
}

export const passed = (title: string): Passed => ({ status: 'passed', title });
export const skipped = (title: string): Skipped => ({ status: 'skipped', title });

type Details = Omit<Problem, 'status' | 'code'>;
export const broken = (code: Code, details: Details): Problem => ({ status: 'broken', code, ...details });
export const waiting = (code: Code, details: Details): Problem => ({ status: 'waiting', code, ...details });
export const warning = (code: Code, details: Details): Problem => ({ status: 'warning', code, ...details });
export const unknown = (code: Code, details: Details): Problem => ({ status: 'unknown', code, ...details });

export const isProblem = (finding: Finding): finding is Problem => 'code' in finding;
export const isBroken = (finding: Finding): finding is Problem => finding.status === 'broken';

/** Findings under one heading. */
export interface Section {
  readonly title: string;
  readonly findings: readonly Finding[];
}

/** The first thing that is broken, in the order of the sections. */
export const firstBroken = (sections: readonly Section[]): Problem | undefined =>
  sections.flatMap(({ findings }) => findings).find(isBroken);
