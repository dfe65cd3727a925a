// What the broker tells the controller about federation: JSON over TLS. The caller is the controller's service account in the release namespace, with a
// token for the audience of the broker; nobody else is let in (docs/adr/0030-federated-assignment.md).

export const federationPath = '/v1/federation';
export const federationProofPath = '/v1/federation/proof';

/** 200 of `GET /v1/federation`: of the broker's own token, which a federated identity must trust. */
export interface FederationResponse {
  issuer: string;
  subject: string;
  audience: string;
}

/** Body of `POST /v1/federation/proof`: one exchange with the broker's token, at Entra of the broker's settings. */
export interface FederationProofRequest {
  tenantId: string;
  clientId: string;
  /** That of Resource Manager in this cloud. */
  resource: string;
}

/** 200 of `POST /v1/federation/proof`. No token leaves the broker. */
export type FederationProofResponse =
  /** Entra accepted the broker's token, whether or not it issued one for the resource. */
  | { outcome: 'proven' }
  | {
      outcome: 'failed';
      /** The number after `AADSTS`. */
      aadsts?: number;
      /** OAuth's code, such as `invalid_client`. */
      error?: string;
      message: string;
      /** Another attempt can succeed although nobody corrects anything. False for a missing credential: the controller knows whether it is new. */
      retryable: boolean;
    };
