import type { Emulator, EmulatorOptions } from '../../azure/emulator.ts';
import { startEmulator } from '../../azure/emulator.ts';
import { smallAzure } from './fixtures.ts';

export type TestContext = { after(done: () => unknown): void };

/** Starts an emulator that ends with the test. Its clock stands still unless `running`, so that nothing happens by itself. */
export async function emulate(context: TestContext, options: Partial<EmulatorOptions> & { running?: boolean } = {}): Promise<Emulator> {
  const emulator = await startEmulator({ state: smallAzure(), ...options });
  context.after(() => emulator.stop());
  if (options.running !== true) emulator.clock.freeze();
  return emulator;
}
