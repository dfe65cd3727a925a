// Entra does not know the client id or the credential of an identity, so the controller should compare it with Azure: somebody may have deleted it.
import { annotations } from '../../api/names.ts';
import type { Clock } from '../../common/clock.ts';
import { reportImdsMismatch } from '../../lib/identities/imds-report.ts';
import type { IdentityInformers } from '../../lib/identities/informers.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import type { Logger } from '../../lib/log.ts';
import { onceIn } from '../../lib/once-in.ts';

/** Each report has the controller read the credentials of one identity. */
const intervalMs = 30_000;

/** `identity`: `namespace/name` of the AzureIdentity. Writes to the AzureAssignedIdentity of the pod, at most once in half a minute for an identity. */
export function createUnknownReporter(options: {
  client: KubeClient;
  log: Logger;
  informers: Pick<IdentityInformers, 'assignmentOf'>;
  clock: Clock;
}): (podKey: string, identity: string) => void {
  const { client, log, informers, clock } = options;
  const isDue = onceIn(intervalMs, clock, 5_000);
  return (podKey, identity) => {
    const assignment = informers.assignmentOf(podKey, identity);
    if (assignment?.metadata.annotations?.[annotations.scope] === undefined || !isDue(identity)) return;
    log.warn({ pod: podKey, identity }, 'Entra does not know a federated identity');
    reportImdsMismatch(client, assignment, new Date(clock.wall())).catch((error: unknown) =>
      log.warn({ pod: podKey, identity, error: String(error) }, 'report not written'),
    );
  };
}
