// The routes of the controller: what the broker's token says of itself, and whether Entra accepts it.
import type { FastifyRequest } from 'fastify';
import type { FederationResponse } from '../../api/federation.ts';
import { federationPath, federationProofPath } from '../../api/federation.ts';
import { controllerServiceAccountName } from '../../api/names.ts';
import type { TlsApp } from '../../lib/tls/server.ts';
import type { Authenticate } from '../authenticate.ts';
import type { Caller } from '../bound-token.ts';
import { BrokerError } from '../error.ts';
import type { AssertionSource } from './assertion.ts';
import { AssertionError } from './assertion.ts';
import type { Prove } from './proof.ts';
import { parseProofRequest } from './proof.ts';

export interface FederationRoutes {
  assertions: AssertionSource;
  prove: Prove;
}

/** `home`: the release namespace. */
export const isController = ({ namespace, serviceAccount }: Caller, home: string): boolean =>
  namespace === home && serviceAccount === controllerServiceAccountName;

export function addFederationRoutes(
  app: TlsApp,
  { home, assertions, prove, authenticate }: FederationRoutes & { home: string; authenticate: Authenticate },
): void {
  async function requireController(request: FastifyRequest): Promise<void> {
    const caller = await authenticate(request.headers.authorization, request.ip);
    if (!isController(caller, home)) throw new BrokerError('forbidden', 'only the controller of this release may ask this');
  }
  app.get(federationPath, async (request, reply) => {
    await requireController(request);
    return reply.header('cache-control', 'no-store').send(await trustOf(assertions));
  });
  app.post(federationProofPath, async (request, reply) => {
    await requireController(request);
    return reply.header('cache-control', 'no-store').send(await prove(parseProofRequest(request.body)));
  });
}

async function trustOf(assertions: AssertionSource): Promise<FederationResponse> {
  try {
    return (await assertions.get()).trust;
  } catch (error) {
    if (error instanceof AssertionError) throw new BrokerError('not_ready', error.message, { retryAfterSeconds: 10 });
    throw error;
  }
}
