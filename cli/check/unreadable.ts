import type { Read } from '../cluster/reader.ts';
import type { Problem } from '../finding.ts';
import { unknown } from '../finding.ts';

type Unread = Exclude<Read<unknown>, { readonly value: unknown }>;

/** What could not be looked at, and why. `absent` is an answer, which the caller judges. */
export function unreadable(title: string, read: Exclude<Unread, { readonly why: 'absent' }>): Problem {
  if (read.why === 'denied')
    return unknown('RightMissing', {
      title,
      message: `you may not ${read.right}`,
      advice: 'Ask whoever runs the cluster for this right, or have them run the command.',
      command: canI(read.right),
    });
  return unknown('ReadFailed', {
    title,
    message: read.message,
    advice: 'Run the command again. If it fails again, look at the API server.',
  });
}

/** `list pods in namespace x` as kubectl asks it. */
function canI(right: string): string {
  const [action, place] = right.split(' in ');
  if (place === undefined) return `kubectl auth can-i ${action}`;
  return `kubectl auth can-i ${action} ${place === 'all namespaces' ? '-A' : `-n ${place.replace('namespace ', '')}`}`;
}
