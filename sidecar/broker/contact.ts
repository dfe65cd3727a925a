// Why the broker cannot be used, told of each address that failed since it last could be: the failure of the last one alone may be a mere symptom, such as
// a name that does not resolve where the address of the Service refuses every connection.
import { brokerServiceName } from '../../api/names.ts';
import { describeFetchError } from '../http.ts';

/** No response came: connection refused, wrong certificate, time over. The message tells the reason of each address, and a hint. */
export class BrokerUnreachedError extends Error {
  override readonly name = 'BrokerUnreachedError';
  readonly code = 'broker_unreached';
}

/** Short enough for logs and error responses. */
export const describeBrokerError = (error: unknown): string =>
  error instanceof BrokerUnreachedError ? error.message : describeFetchError(error);

/** `served`: the address responded, if only with a certificate that is not the broker's. */
type Kind = 'served' | 'refused' | 'silent' | 'unresolved';

interface Failure {
  kind: Kind;
  reason: string;
}

export class BrokerContact {
  /** By `host:port`. */
  readonly #failures = new Map<string, Failure>();

  /** No response came from the address. Returns the description of all failures. */
  connectionFailed(address: string, error: unknown): string {
    const reason = describeFetchError(error);
    return this.#add(address, { kind: kindOf(reason), reason });
  }

  /** The address responded with an error, or the request could not be made. Returns the description of all failures. */
  requestFailed(address: string, reason: string): string {
    return this.#add(address, { kind: 'served', reason });
  }

  succeeded(): void {
    this.#failures.clear();
  }

  #add(address: string, failure: Failure): string {
    this.#failures.set(address, failure);
    return describe(this.#failures);
  }
}

function kindOf(reason: string): Kind {
  if (/cert|verify/i.test(reason)) return 'served';
  if (/getaddrinfo|ENOTFOUND|EAI_AGAIN/.test(reason)) return 'unresolved';
  return /refused/i.test(reason) ? 'refused' : 'silent';
}

/** What says most about the cause comes first. */
const order: readonly Kind[] = ['served', 'refused', 'silent', 'unresolved'];

function describe(failures: ReadonlyMap<string, Failure>): string {
  const sorted = [...failures].sort(([, a], [, b]) => order.indexOf(a.kind) - order.indexOf(b.kind));
  const all = sorted.map(([address, { reason }]) => `${address}: ${reason}`).join('; ');
  const [first] = sorted;
  return first === undefined ? '' : `${all}${hintOf(first[1].kind, first[0])}`;
}

function hintOf(kind: Kind, address: string): string {
  switch (kind) {
    case 'served':
      return '';
    case 'refused':
      return `. Nothing accepts connections there: is a broker pod ready (kubectl get endpointslices -A -l kubernetes.io/service-name=${brokerServiceName})?`;
    case 'silent':
      return `. This pod needs egress to TCP ${address.slice(address.lastIndexOf(':') + 1)}: does a network policy deny it?`;
    case 'unresolved':
      return '. The name does not resolve in this pod: does a network policy deny it DNS?';
  }
}
