// The table of refusals of federated credentials: with answers as Azure gives them, and as docs/reference/arm.md shows it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { isTerminal } from '../../../lib/identities/reasons.ts';
import type { FederationRefusal, FederationRefusalCode } from './federation-refusals.ts';
import { credentialLimit, federationRefusals, recogniseFederation } from './federation-refusals.ts';
import type { Recognition } from './refusals.ts';

const one = '/subscriptions/s/resourcegroups/rg/providers/microsoft.managedidentity/userassignedidentities/one';

const answers: [status: number, azureCode: string, text: string, code: FederationRefusalCode][] = [
  [429, 'TooManyRequests', 'Too many requests.', 'throttled'],
  [401, 'InvalidAuthenticationTokenTenant', 'The access token is from the wrong issuer.', 'otherTenant'],
  [401, 'ExpiredAuthenticationToken', 'The access token expiry is in the past.', 'unauthorized'],
  [
    409,
    'ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity',
    `Too many Federated Identity Credentials are written concurrently for the managed identity '${one}'.`,
    'concurrentWrite',
  ],
  [409, 'Conflict', 'Issuer and subject combination already exists for this Managed Identity.', 'combinationExists'],
  [403, 'DenyAssignmentAuthorizationFailed', 'x', 'denyAssignment'],
  [403, 'RequestDisallowedByPolicy', "Resource 'x' was disallowed by policy.", 'policyDenied'],
  [403, 'AuthorizationFailed', "The client 'x' does not have authorization to perform action 'y' over scope 'z'", 'missingRole'],
  [403, 'SomethingElse', 'Forbidden.', 'forbidden'],
  [404, 'ParentResourceNotFound', 'x', 'identityNotFound'],
  [404, 'ResourceGroupNotFound', "Resource group 'rg' could not be found.", 'identityNotFound'],
  [409, 'ScopeLocked', 'x', 'scopeLocked'],
  [409, 'ReadOnlyDisabledSubscription', 'x', 'subscriptionDisabled'],
  [400, 'BadRequest', `A maximum of ${credentialLimit} federated identity credentials can be added.`, 'limitReached'],
  [409, 'FederatedCredentialLimitReached', 'x', 'limitReached'],
  [
    400,
    'MethodNotAllowed',
    'The request format was unexpected : Support for federated identity credentials not enabled',
    'regionUnsupported',
  ],
  [400, 'BadRequest', "Federated identity credentials are not supported in region 'malaysiasouth'.", 'regionUnsupported'],
  [409, 'SomethingElse', 'x', 'conflict'],
  [503, 'ServiceUnavailable', 'x', 'transient'],
  [400, 'BadRequest', 'The subject is too long.', 'refused'],
  [302, '', '', 'unknown'],
];

describe('table of refusals of federated credentials', () => {
  for (const [index, [status, azureCode, text, code]] of answers.entries())
    test(`recognises answer ${index + 1}, ${status} ${azureCode.slice(0, 30)}, as ${code}`, () => {
      assert.equal(recogniseFederation({ status, azureCode, text }), code);
    });

  test('has an answer above for each entry that Azure answers', () => {
    const answered = new Set<string>(answers.map(([, , , code]) => code));
    const entries = Object.entries<FederationRefusal>(federationRefusals);
    assert.deepEqual(
      entries.filter(([code, { when }]) => when.length > 0 && !answered.has(code)),
      [],
    );
  });

  test('says in words what to do wherever a person must act', () => {
    for (const [code, { reason, retry, advice }] of Object.entries<FederationRefusal>(federationRefusals)) {
      if (isTerminal(reason)) assert.deepEqual([retry, typeof advice], ['1 min to 1 h', 'string'], code);
    }
  });

  test('is the table of federated credentials in docs/reference/arm.md', () => {
    const page = readFileSync(path.resolve(import.meta.dirname, '../../../docs/reference/arm.md'), 'utf8');
    const section = page.split('### Errors of federated credentials\n')[1]?.split('\n#')[0] ?? '';
    const rows = section.split('\n').filter((line) => line.startsWith('| `'));
    assert.deepEqual(rows, Object.entries<FederationRefusal>(federationRefusals).map(rowOf));
  });
});

function rowOf([code, { when, reason, retry, advice = '' }]: [string, FederationRefusal]): string {
  const recognised = when.length === 0 ? 'no answer' : when.map(textOf).join('<br>');
  return `| \`${code}\` | ${recognised} | \`${reason}\` | ${retry} | ${advice.replaceAll('<', '\\<')} |`;
}

function textOf({ status, codes = [], texts = [] }: Recognition): string {
  const marks = [...codes.map((code) => `\`${code}\``), ...texts.map((text) => `"${text}"`)].join(' or ');
  return [status, marks].filter((part) => part !== undefined && part !== '').join(' ');
}
