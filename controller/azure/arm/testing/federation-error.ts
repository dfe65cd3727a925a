import assert from 'node:assert/strict';
import { FederationError } from '../federated-credentials.ts';

/** The error with which a call fails. */
export async function federationErrorOf(promise: Promise<unknown>): Promise<FederationError> {
  const error = await promise.then(
    () => assert.fail('it did not fail'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof FederationError, String(error));
  return error;
}
