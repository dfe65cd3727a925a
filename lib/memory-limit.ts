import os from 'node:os';

/** Bytes of memory that this process may use: the limit of its container, else all that the machine has. */
export function memoryLimit(): number {
  return memoryLimitOf(process.constrainedMemory(), os.totalmem());
}

/** `constrained` is 0 or absurdly large where no limit is set (docs/reference/node-runtime.md#memory). */
export function memoryLimitOf(constrained: number, total: number): number {
  return constrained > 0 && constrained < total ? constrained : total;
}
