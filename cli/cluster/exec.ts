// Runs a command in a container, as kubectl exec does. Exec of client-node: the protocol is a web socket with channels.
import { PassThrough } from 'node:stream';
import type { KubeConfig } from '@kubernetes/client-node';
import { Exec } from '@kubernetes/client-node';
import { stringAt } from '../../lib/kube/objects.ts';

export interface ExecTarget {
  namespace: string;
  pod: string;
  container: string;
  command: readonly string[];
}

export type ExecResult = { readonly stdout: string } | { readonly failure: string };

/** What a command may print at most, in bytes. */
const maxOutput = 1024 * 1024;

/** Never throws. */
export async function exec(config: KubeConfig, target: ExecTarget, timeoutMs: number): Promise<ExecResult> {
  const [stdout, stderr] = [collect(), collect()];
  const { promise: ended, resolve } = Promise.withResolvers<string | undefined>();
  const timer = setTimeout(() => resolve(`no answer within ${timeoutMs / 1000} s`), timeoutMs);
  try {
    const { namespace, pod, container, command } = target;
    const socket = await new Exec(config).exec(
      namespace,
      pod,
      container,
      [...command],
      stdout.stream,
      stderr.stream,
      null,
      false,
      (status) => resolve(status.status === 'Success' ? undefined : (stringAt(status, 'message') ?? 'the command failed')),
    );
    socket.onclose = () => resolve('the connection ended');
    const failure = await ended;
    socket.close();
    return failure === undefined
      ? { stdout: stdout.text() }
      : { failure: [failure, stderr.text().trim()].filter((part) => part !== '').join(': ') };
  } catch (error) {
    // A web socket rejects with an event.
    return {
      failure: stringAt(error, 'message') ?? (error instanceof Error ? error.message : 'the API server did not open the connection'),
    };
  } finally {
    clearTimeout(timer);
  }
}

function collect() {
  const stream = new PassThrough();
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= maxOutput) chunks.push(chunk);
  });
  return { stream, text: () => Buffer.concat(chunks).toString() };
}
