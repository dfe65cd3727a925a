// The process of one shard: runs the files of its arguments and sends the counts to the process that started it.
import { runFiles } from './run-files.ts';

const counts = await runFiles(process.argv.slice(2), { isolation: 'none', concurrency: 1, watch: false, coverage: false });
// What a test left open must not keep the process.
process.send?.(counts, () => process.exit(0));
