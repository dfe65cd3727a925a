// The sections of pages that tests run in a cluster, as those tests name them.

export interface Executed {
  /** Below `docs/`. */
  page: string;
  heading: string;
}

/** A call with the name of a page and a heading, by `commandsOf` or by what a test calls for it. */
const calls = /\b(?:commandsOf|follow|lines)\('([\w-]+\.md)', '(#+ [^']+)'\)/g;

export const executedIn = (source: string): Executed[] =>
  [...source.matchAll(calls)].map(([, page = '', heading = '']) => ({ page, heading }));
