import type { Release } from '../../cluster/installation.ts';
import { readyAddresses } from '../../cluster/installation.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed } from '../../finding.ts';
import { unreadable } from '../unreadable.ts';

export function checkBroker({ namespace, brokerEndpoints }: Release): Finding {
  const title = 'ready replicas';
  if (!('value' in brokerEndpoints) && brokerEndpoints.why !== 'absent') return unreadable(title, brokerEndpoints);
  const ready = 'value' in brokerEndpoints ? readyAddresses(brokerEndpoints.value) : 0;
  if (ready > 0) return passed(`${ready} ready`);
  return broken('BrokerDown', {
    title,
    message: 'no replica of the broker is ready: pods keep the tokens they have, and get none for identities that change',
    advice: 'Look at its pods and its log.',
    command: `kubectl logs -n ${namespace} -l app.kubernetes.io/component=broker --tail=50`,
  });
}
