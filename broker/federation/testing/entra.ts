// For tests: Entra as MSAL calls it, an assertion without a file, and records that the test puts.
import type { INetworkModule, NetworkResponse } from '@azure/msal-node';
import type { FederationRecord } from '../../../lib/identities/federation/record.ts';
import type { ListedRecord } from '../../../lib/identities/federation/records.ts';
import { federationRecord } from '../../../lib/identities/testing/fixtures.ts';
import type { Assertion, AssertionSource } from '../assertion.ts';

export const guid = 'cccccccc-0000-4000-8000-000000000001';
export const tenant = 'cccccccc-0000-4000-8000-00000000000f';
export const authority = 'https://login.test';
export const trust = {
  issuer: 'https://oidc.example/',
  subject: 'system:serviceaccount:aad:aad-pod-identity-broker',
  audience: 'api://AzureADTokenExchange',
};

export interface Reply {
  status: number;
  body: object;
  headers?: Record<string, string>;
}

export const granted = (token: string, seconds = 86_400): Reply => ({
  status: 200,
  headers: { 'x-ms-request-id': `request-of-${token}` },
  body: { token_type: 'Bearer', expires_in: seconds, ext_expires_in: seconds, access_token: token },
});

export const refused = (code: number, status = 400, headers: Record<string, string> = {}): Reply => ({
  status,
  headers,
  body: { error: 'invalid_request', error_description: `AADSTS${code}: no`, error_codes: [code] },
});

/** Answers with the replies one after the other, then with `fallback`; without one the network fails. */
export function fakeEntra() {
  const sent: { url: string; form: URLSearchParams }[] = [];
  const state = {
    replies: [] as Reply[],
    fallback: undefined as Reply | undefined,
    /** Each reply waits for it. */
    held: Promise.resolve(),
  };
  const network: INetworkModule = {
    sendGetRequestAsync: (url) => Promise.reject(new Error(`${url} was asked`)),
    async sendPostRequestAsync<T>(url: string, options?: { body?: string }): Promise<NetworkResponse<T>> {
      sent.push({ url, form: new URLSearchParams(options?.body) });
      await state.held;
      const reply = state.replies.shift() ?? state.fallback;
      if (reply === undefined) throw new Error('no network');
      return { status: reply.status, headers: reply.headers ?? {}, body: reply.body as T };
    },
  };
  return { network, sent, state };
}

export function fakeAssertions(): AssertionSource & { readonly rereads: number } {
  const assertion = (serial: number): Assertion => ({ token: `assertion-${serial}`, trust });
  let rereads = 0;
  return {
    get: async () => assertion(rereads),
    reread: async () => {
      rereads += 1;
      return assertion(rereads);
    },
    get rereads() {
      return rereads;
    },
  };
}

export const resourceID = '/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i';

export const record = (changes: Partial<FederationRecord> = {}): ListedRecord =>
  federationRecord({ identity: resourceID.toLowerCase(), clientId: guid, tenantId: tenant, ...trust, ...changes });
