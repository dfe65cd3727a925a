// What an uninstall says at its end. Pure.
import type { Left } from './remaining.ts';

/** The kubelet keeps so much of a termination message. */
const maxBytes = 4096;

export function reportOf(left: readonly Left[], namespace: string): string[] {
  return [
    ...(left.length === 0
      ? ['uninstalled: nothing is left to do in Azure or by hand']
      : [
          'uninstalled, but this is left:',
          ...left.flatMap(({ what, command }) => [`- ${what}`, ...(command === '' ? [] : [`  ${command}`])]),
        ]),
    'Pods that run keep their token proxy and the tokens in it until these expire. Restart them once they use something else.',
    `The CRDs and their objects stay, and so do the CAs: kubectl delete secret -n ${namespace} aad-pod-identity-ca aad-pod-identity-webhook-tls ` +
      'aad-pod-identity-broker-tls removes these. With them a new install works with the pods of this one.',
  ];
}

/** The report as a termination message: its whole lines from the start, as many as fit. */
export function terminationMessageOf(lines: readonly string[]): string {
  const more = '... see the log';
  const kept: string[] = [];
  let bytes = Buffer.byteLength(more) + 1;
  for (const line of lines) {
    bytes += Buffer.byteLength(line) + 1;
    if (bytes > maxBytes) return [...kept, more].join('\n');
    kept.push(line);
  }
  return kept.join('\n');
}
