// `npm run bench -- scale`: memory of controller and broker in a cluster of 50 000 pods. Asserts nothing.
import { memory } from './controller/memory.ts';

export const bench = (): Promise<void> => memory(50_000);
