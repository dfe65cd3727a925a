import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { issuerProblemOf } from './issuer.ts';

describe('issuerProblemOf', () => {
  for (const issuer of ['https://oidc.prod-aks.azure.com/guid/', 'https://storage.example.com/x', 'https://203.0.113.1:8443'])
    it(`takes ${issuer}`, () => assert.equal(issuerProblemOf(issuer), undefined));

  for (const issuer of [
    'http://oidc.example.com/',
    'https://kubernetes.default.svc.cluster.local',
    'https://kubernetes.default.svc',
    'https://localhost:6443',
    'https://master',
    'kubernetes/serviceaccount',
    '',
  ])
    it(`refuses '${issuer}' and says what to do`, () =>
      assert.match(issuerProblemOf(issuer) ?? '', /which Entra cannot reach: give the API server a public https issuer/));
});
