/** Where the plugin runs. */
export interface Terminal {
  write(text: string): void;
  writeError(text: string): void;
  /** Of the output. */
  isTerminal: boolean;
  /** Of the errors. */
  isErrorTerminal: boolean;
  /** Width of the errors' terminal. */
  columns: number;
  env: Readonly<Record<string, string | undefined>>;
}

/** 0: nothing is broken. 1: something is, or the cluster cannot be asked. 2: the command line is wrong. */
export type ExitCode = 0 | 1 | 2;
