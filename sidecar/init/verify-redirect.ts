// Verifies the redirect: a random word of the listener on the proxy's port has to come back from 169.254.169.254:80.
import { imdsAddress, proxyPort } from '../../api/names.ts';
import { CommandError } from '../errors.ts';
import { createNonce, isNonce, noncePath } from '../nonce.ts';

export interface Probe {
  /** Body of a GET, undefined when no response came in time. */
  get(url: string): Promise<string | undefined>;
  /** Serves the nonce on the proxy's port; undefined when the port is in use. */
  listen(nonce: string): { stop(): Promise<void> } | undefined;
}

/** The port is in use when this is another run in a pod whose proxy is up: then the nonce of that proxy is expected. */
export async function verifyRedirect({ get, listen }: Probe): Promise<'own listener' | 'running proxy'> {
  const own = createNonce();
  const listener = listen(own);
  try {
    const expected = listener === undefined ? await get(`http://127.0.0.1:${proxyPort}${noncePath}`) : own;
    if (expected === undefined || !isNonce(expected)) {
      throw new CommandError(
        'port_in_use',
        `port ${proxyPort} is taken by something that is not the identity proxy: it has to be free in this pod`,
      );
    }
    const received = await get(`http://${imdsAddress}${noncePath}`);
    if (received !== expected) {
      const what = received === undefined ? 'nothing answered there' : 'somebody else answered';
      throw new CommandError(
        'redirect_not_effective',
        `the rules are loaded but a request to ${imdsAddress}:80 did not reach port ${proxyPort} (${what}): another rule of this pod's network takes it`,
      );
    }
    return listener === undefined ? 'running proxy' : 'own listener';
  } finally {
    await listener?.stop();
  }
}
