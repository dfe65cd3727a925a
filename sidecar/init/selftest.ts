// Proof that the redirect works: a random word must come back from 169.254.169.254:80, said by whoever listens on the proxy's port.
import { imdsAddress, proxyPort } from '../../api/names.ts';
import { Failure } from '../failure.ts';

export const noncePath = '/nonce';
const shape = /^[0-9a-f]{32}$/;

/** 128 random bits, as both init and proxy say them at {@link noncePath}. */
export function newNonce(): string {
  return crypto.randomUUID().replaceAll('-', '');
}

export interface SelfTest {
  /** Body of a GET, undefined when nothing answered in time. */
  get(url: string): Promise<string | undefined>;
  /** Answers the nonce on the proxy's port; undefined when the port is taken. */
  listen(nonce: string): { stop(): Promise<void> } | undefined;
}

export async function proveRedirect({ get, listen }: SelfTest): Promise<'own listener' | 'running proxy'> {
  const own = newNonce();
  const listener = listen(own);
  try {
    const expected = listener === undefined ? await get(`http://127.0.0.1:${proxyPort}${noncePath}`) : own;
    if (expected === undefined || !shape.test(expected)) {
      throw new Failure(`port ${proxyPort} is taken by something that is not the identity proxy: it has to be free in this pod`);
    }
    const heard = await get(`http://${imdsAddress}${noncePath}`);
    if (heard !== expected) {
      const what = heard === undefined ? 'nothing answered there' : 'somebody else answered';
      throw new Failure(
        `the rules are loaded but a request to ${imdsAddress}:80 did not reach port ${proxyPort} (${what}): another rule of this pod's network takes it`,
      );
    }
    return listener === undefined ? 'running proxy' : 'own listener';
  } finally {
    await listener?.stop();
  }
}
