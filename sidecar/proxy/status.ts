import type { SidecarStatus } from '../../api/sidecar-status.ts';
import { version } from '../../api/version.ts';
import type { Clock } from '../../common/clock.ts';
import type { BrokerClient } from '../broker/client.ts';
import type { IdentityStore } from '../identities/store.ts';
import type { TokenCache } from '../tokens/cache.ts';

export interface StatusSources {
  broker: Pick<BrokerClient, 'address'>;
  store: Pick<IdentityStore, 'view' | 'contactError'>;
  tokens: Pick<TokenCache, 'size'>;
  clock: Pick<Clock, 'now'>;
}

export function sidecarStatusOf({ broker, store, tokens, clock }: StatusSources): SidecarStatus {
  const { view, contactError } = store;
  return {
    version,
    broker: {
      address: broker.address,
      ...(view === undefined ? {} : { answeredSecondsAgo: Math.round((clock.now() - view.confirmedAt) / 1000) }),
      ...(contactError === undefined ? {} : { error: contactError }),
    },
    excepted: view?.excepted === true,
    ...(view?.revoked === undefined ? {} : { revoked: view.revoked }),
    ...(view?.defaultKey === undefined ? {} : { defaultIdentity: view.defaultKey }),
    identities: view?.identities ?? [],
    cachedTokens: tokens.size,
  };
}
