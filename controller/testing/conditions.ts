/** Conditions that tests wait for, checked after each change. */
export function createConditions() {
  const waiting: { done(): boolean; resolve(): void }[] = [];
  return {
    check(): void {
      for (const wait of waiting) if (wait.done()) wait.resolve();
    },
    until(done: () => boolean): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>();
      if (done()) resolve();
      waiting.push({ done, resolve });
      return promise;
    },
  };
}
