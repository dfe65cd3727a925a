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

/** `isDenied`: the user has no right to it. */
export type ExecResult = { readonly stdout: string } | { readonly failure: string; readonly isDenied?: true };

/** What a command may print at most, in bytes. */
const maxOutput = 1024 * 1024;

/** Never throws. `timeoutMs` counts the opening of the connection, which waits for the kubelet. */
export async function exec(config: KubeConfig, target: ExecTarget, timeoutMs: number): Promise<ExecResult> {
  const [stdout, stderr] = [collect(), collect()];
  const { promise: ended, resolve } = Promise.withResolvers<string | undefined>();
  const timer = setTimeout(() => resolve(`no answer within ${timeoutMs / 1000} s`), timeoutMs);
  const { namespace, pod, container, command } = target;
  const opened = new Exec(config).exec(namespace, pod, container, [...command], stdout.stream, stderr.stream, null, false, (status) =>
    resolve(status.status === 'Success' ? undefined : (stringAt(status, 'message') ?? 'the command failed')),
  );
  // A web socket rejects with an event.
  opened.then(
    (socket) => {
      socket.onclose = () => resolve('the connection ended');
      void ended.then(() => socket.close());
    },
    (error: unknown) =>
      resolve(stringAt(error, 'message') ?? (error instanceof Error ? error.message : 'the API server did not open the connection')),
  );
  const failure = await ended;
  clearTimeout(timer);
  if (failure === undefined) return { stdout: stdout.text() };
  const text = [failure, stderr.text().trim()].filter((part) => part !== '').join(': ');
  return /server response: 403/.test(failure) ? { failure: text, isDenied: true } : { failure: text };
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
