// `npm run bench -- controller`: the program between the real API server and the emulator, whose operations take 20 s as a scale set's do;
// matching alone; memory with very many pods. Prints tables, asserts nothing.
import { assignAndRelease } from './controller/load.ts';
import { matching } from './controller/matching.ts';
import { memory } from './controller/memory.ts';
import type { Options } from './options.ts';

export async function bench({ against }: Pick<Options, 'against'>): Promise<void> {
  matching(20_000, 500);
  await assignAndRelease({ pods: 200, nodes: 10, sets: 1, identities: 5, upstreamSeconds: 119 }, against.controller);
  await assignAndRelease({ pods: 2_000, nodes: 30, sets: 3, identities: 5, upstreamSeconds: 837 }, against.controller);
  await memory(2_000);
}
