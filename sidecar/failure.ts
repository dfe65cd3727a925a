/** An end that a person has to act on: its message is the one line they see, the exit code is 1. */
export class Failure extends Error {
  override readonly name = 'Failure';
}
