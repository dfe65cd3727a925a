// Another webhook beside ours in the same run: a program that serves admissions of pods over TLS.
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { connect } from 'node:tls';
import { mutatingWebhookConfigurations, resourcePath } from '../../../lib/kube/resources.ts';
import { start } from '../../cluster/processes.ts';
import { freePort } from '../../harness/free-port.ts';
import { eventually } from '../../harness/wait.ts';
import type { Harness } from '../../integration/webhook/harness.ts';
import { base64, issueFor } from '../../integration/webhook/harness.ts';
import { fillIn } from '../options.ts';
import { callByService, dnsNameOf } from './service.ts';

export interface OtherWebhook {
  readonly pid: number;
  readonly port: number;
  /** Pods with them are sent to it. */
  readonly labels: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

export interface OtherWebhookOptions {
  name: string;
  /** With the placeholders of `--against webhook=`. */
  command: string;
  /** Of its admissions. */
  path: string;
}

/** Resolves when it serves and is registered. */
export async function startOtherWebhook(
  { plane, client, ca }: Harness,
  { name, command, path: urlPath }: OtherWebhookOptions,
): Promise<OtherWebhook> {
  const port = await freePort();
  const { leaf } = await issueFor([dnsNameOf(name)], ca);
  const certs = path.join(plane.folder, `${name}-certs`);
  mkdirSync(certs);
  for (const [file, pem] of Object.entries({ 'tls.crt': leaf.certificate, 'tls.key': leaf.key, 'ca.crt': ca.certificate }))
    writeFileSync(path.join(certs, file), pem, { mode: 0o600 });
  const [file = '', ...args] = fillIn(command, { port: String(port), certs, kubeconfig: plane.kubeconfig });
  const program = start({ name, file, args }, path.join(plane.folder, `${name}.log`));
  const ended = program.exited.then((how) => {
    throw new Error(`${name} ${how}`);
  });
  ended.catch(() => undefined);
  await Promise.race([eventually(() => accepts(port), `${name} accepts connections on port ${port}`, { seconds: 60 }), ended]);
  const labels = { 'bench-webhook': name };
  await client.call('POST', resourcePath(mutatingWebhookConfigurations), {
    body: {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: `bench-${name}` },
      webhooks: [
        {
          name: `${name}.bench.example`,
          clientConfig: { url: `https://localhost:${port}${urlPath}`, caBundle: base64(ca.certificate) },
          rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
          objectSelector: { matchLabels: labels },
          reinvocationPolicy: 'IfNeeded',
          failurePolicy: 'Fail',
          sideEffects: 'None',
          timeoutSeconds: 5,
          admissionReviewVersions: ['v1'],
        },
      ],
    },
  });
  await callByService(client, `bench-${name}`, { name, port });
  return { pid: program.pid, port, labels, stop: () => program.stop(5) };
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', rejectUnauthorized: false });
  try {
    await once(socket, 'secureConnect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
