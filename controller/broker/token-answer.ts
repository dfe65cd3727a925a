/** A token in the shape of IMDS, where every value is a text. */
export interface TokenAnswer {
  access_token: string;
  client_id: string;
  expires_in: string;
  expires_on: string;
  ext_expires_in: string;
  not_before: string;
  /** As the caller wrote it. */
  resource: string;
  token_type: 'Bearer';
}
