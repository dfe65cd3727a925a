import type { Read } from '../cluster/reader.ts';
import type { Problem, Section } from '../finding.ts';
import { isProblem, unknown } from '../finding.ts';

type Unread = Exclude<Read<unknown>, { readonly value: unknown }>;

/** What could not be looked at, and why. `absent` is an answer, which the caller judges. */
export function unreadable(title: string, read: Exclude<Unread, { readonly why: 'absent' }>): Problem {
  if (read.why === 'denied')
    return unknown('RightMissing', {
      title,
      message: `you may not ${read.right}`,
      advice: askForIt,
      command: canI(read.right),
    });
  return unknown('ReadFailed', {
    title,
    message: read.message,
    advice: 'Run the command again. If it fails again, look at the API server.',
  });
}

/** WebSockets open with GET. From Kubernetes 1.35 on the API server asks for `create` too, as for kubectl before. */
export const execDenied = (title: string, namespace: string): Problem =>
  unknown('RightMissing', {
    title,
    message: `you may not get and create pods/exec in namespace ${namespace}, so the token proxy cannot be asked`,
    advice: askForIt,
    command: `kubectl auth can-i create pods/exec -n ${namespace}`,
  });

/** A section for the rights that no finding names. */
export function missingRights(denied: readonly string[], sections: readonly Section[]): Section[] {
  const named = new Set(sections.flatMap(({ findings }) => findings.filter(isProblem).map(({ message }) => message)));
  const findings = denied.map((right) => unreadable('not read', { why: 'denied', right })).filter(({ message }) => !named.has(message));
  return findings.length === 0 ? [] : [{ title: 'Rights', findings }];
}

const askForIt = 'Ask whoever runs the cluster for this right, or have them run the command.';

/** `list pods in namespace x` as kubectl asks it. */
function canI(right: string): string {
  const [action, place] = right.split(' in ');
  if (place === undefined) return `kubectl auth can-i ${action}`;
  return `kubectl auth can-i ${action} ${place === 'all namespaces' ? '-A' : `-n ${place.replace('namespace ', '')}`}`;
}
