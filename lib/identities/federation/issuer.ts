// Whether Entra can read the keys of an issuer at all: pure, by its name. Whether it really can, the proof says.

/** Names that public DNS does not have. */
const localNames = /(?:^|\.)(?:localhost|local|internal|svc|cluster\.local)$/i;

/** Undefined for an https URL that may be public. */
export function issuerProblemOf(issuer: string): string | undefined {
  const url = URL.canParse(issuer) ? new URL(issuer) : undefined;
  const isNamed = url !== undefined && /[.:]/.test(url.hostname);
  if (url?.protocol === 'https:' && isNamed && !localNames.test(url.hostname)) return undefined;
  return (
    `the cluster's service account tokens have issuer '${issuer.slice(0, 200)}', which Entra cannot reach: give the API server a public https issuer ` +
    '(on AKS: az aks update --enable-oidc-issuer), or attach the identity'
  );
}
