// The table of refusals, row by row: with answers as Azure gives them, by each of its conditions, and as docs/reference/arm.md shows it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { isTerminal } from '../../../lib/identities/reasons.ts';
import { errorOf, operationErrorOf } from './errors.ts';
import type { Recognition, Refusal, RefusalCode } from './refusals.ts';
import { recognise, refusals } from './refusals.ts';
import type { About, WriteContext } from './subject.ts';

const now = new Date('2026-01-01T00:00:00Z');
const subscription = '/subscriptions/0a1b2c3d-0000-4000-8000-00000000000f';
const group = `${subscription}/resourceGroups/MC_rg`;
const scaleSet = `${group}/providers/Microsoft.Compute/virtualMachineScaleSets/pool`;
const subnet = `${subscription}/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/hub/subnets/nodes`;
const identity = (name: string) => `${subscription}/resourcegroups/ids/providers/microsoft.managedidentity/userassignedidentities/${name}`;
const assign = 'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action';
const join = 'Microsoft.Network/virtualNetworks/subnets/join/action';

const write: WriteContext = {
  scope: { id: scaleSet.toLowerCase() },
  written: [identity('one'), identity('two')],
  attached: new Map([[identity('ghost'), null]]),
};

const mayWrite = `The client 'x' with object id 'y' has permission to perform action 'Microsoft.Compute/virtualMachineScaleSets/write' on scope '${scaleSet}'`;
const linked = (action: string, scope: string) =>
  `${mayWrite}; however, it does not have permission to perform action(s) '${action}' on the linked scope(s) '${scope}' (respectively) or the linked scope(s) are invalid.`;
const wrapped = (message: string) =>
  `Identity operation for resource '${scaleSet}' failed with error 'Failed to perform resource identity operation. Status: 'BadRequest'. Response: '{"error":{"code":"BadRequest","message":"${message}"}}'.'.`;

/** What Azure answers to a PATCH that attaches `one` and `two` beside `ghost`. */
const answers: [status: number, azureCode: string, text: string, code: RefusalCode][] = [
  [429, 'OperationNotAllowed', 'Too many requests.', 'throttled'],
  [401, 'ExpiredAuthenticationToken', 'The access token expiry is in the past.', 'unauthorized'],
  [412, 'PreconditionFailed', 'Etag provided in if-match header "2" does not match etag "3" of resource', 'preconditionFailed'],
  [409, 'OperationPreempted', 'The operation has been preempted by a more recent operation.', 'canceled'],

  [403, 'LinkedAuthorizationFailed', `${mayWrite}; however, the access is denied because of the deny assignment 'z'.`, 'identityDenied'],
  [403, 'LinkedAuthorizationFailed', linked(assign, identity('one')), 'identityRoleMissing'],
  [403, 'LinkedAuthorizationFailed', linked(`${assign},${join}`, `${identity('one')},${subnet}`), 'identityRoleMissing'],
  [403, 'RequestDisallowedByPolicy', `Resource '${identity('one')}' was disallowed by policy.`, 'identityDisallowed'],
  [400, 'FailedIdentityOperation', wrapped(`Resource '${identity('one')}' was not found.`), 'identityNotFound'],
  [404, 'ResourceGroupNotFound', "Resource group 'ids' could not be found.", 'identityNotFound'],
  [404, '', '', 'identityNotFound'],
  [400, 'InvalidParameter', `The identity id(s) '${identity('one')}' cannot be duplicated.`, 'identityInvalid'],

  [400, 'FailedIdentityOperation', wrapped(`Resource '${identity('ghost')}' was not found.`), 'attachedIdentityGone'],
  [403, 'LinkedAuthorizationFailed', linked(assign, identity('ghost')), 'attachedIdentityBroken'],

  [
    409,
    'ScopeLocked',
    `The scope '${scaleSet}' cannot perform write operation because following scope(s) are locked: '${group}'. Please remove the lock and try again.`,
    'scopeLocked',
  ],
  [409, 'ReadOnlyDisabledSubscription', 'The subscription is disabled and therefore marked as read only.', 'subscriptionDisabled'],
  [409, 'PropertyChangeNotAllowed', "Changing property 'platformFaultDomainCount' is not allowed.", 'changeNotAllowed'],
  [409, 'OperationNotAllowed', 'The operation results in exceeding approved Total Regional Cores quota.', 'quotaExceeded'],
  [409, 'QuotaExceeded', 'x', 'quotaExceeded'],
  [403, 'RequestDisallowedByPolicy', "Resource 'pool' was disallowed by policy. Policy identifiers: '[]'.", 'policyDenied'],
  [
    403,
    'DenyAssignmentAuthorizationFailed',
    `${mayWrite}; however, the access is denied because of the deny assignment.`,
    'denyAssignment',
  ],
  [403, 'LinkedAuthorizationFailed', linked(join, subnet), 'linkedRoleMissing'],
  [
    403,
    'AuthorizationFailed',
    `The client 'x' has no authorization to perform action '${join}' over scope '${subnet}'`,
    'linkedRoleMissing',
  ],
  [
    403,
    'AuthorizationFailed',
    `The client 'x' has no authorization to perform action 'Microsoft.Compute/virtualMachineScaleSets/write' over scope '${scaleSet}'`,
    'missingRole',
  ],
  [403, 'SomethingElse', 'Forbidden.', 'forbidden'],
  [
    404,
    'ResourceNotFound',
    "The Resource 'Microsoft.Compute/virtualMachineScaleSets/pool' under resource group 'MC_rg' was not found.",
    'notFound',
  ],
  [404, 'ResourceGroupNotFound', "Resource group 'MC_rg' could not be found.", 'notFound'],
  [
    404,
    'ResourceNotFound',
    "The Resource 'Microsoft.Network/networkSecurityGroups/nsg' under resource group 'net' was not found.",
    'referenceNotFound',
  ],
  [404, 'ResourceGroupNotFound', "Resource group 'net' could not be found.", 'referenceNotFound'],
  [400, 'InvalidResourceReference', `Resource ${subnet} referenced by resource ${scaleSet} was not found.`, 'referenceNotFound'],

  [409, 'Conflict', 'The request failed due to conflict with a concurrent request.', 'conflict'],
  [409, 'OperationNotAllowed', 'The set is marked for deletion.', 'otherConflict'],
  [408, 'RequestTimeout', 'x', 'transient'],
  [500, 'InternalServerError', 'x', 'transient'],
  [400, 'InvalidParameter', 'Something else', 'refused'],
  [422, '', 'x', 'refused'],
  [302, '', 'x', 'unknown'],
];

describe('table of refusals', () => {
  for (const [index, [status, azureCode, text, code]] of answers.entries())
    test(`recognises answer ${index + 1}, ${status} ${azureCode}, as ${code}`, () => {
      assert.equal(errorOf({ status, headers: {}, body: { error: { code: azureCode, message: text } } }, now, write).failure.code, code);
      // The same at the end of an operation, which has no status, unless the status is all there is.
      const end = { status: 200, headers: {}, body: { status: 'Failed', error: { code: azureCode, message: text } } };
      const byStatus = recognise({ status, azureCode: '', text: '', about: 'scope' }) === code || azureCode === '';
      if (!byStatus && !['throttled', 'forbidden', 'otherConflict', 'transient'].includes(code))
        assert.equal(operationErrorOf(end, now, write).failure.code, code);
    });

  test('has an answer above for each entry that Azure answers', () => {
    const answered = new Set<string>(answers.map(([, , , code]) => code));
    const unanswered = Object.entries<Refusal>(refusals).filter(([code, { when }]) => when.length > 0 && !answered.has(code));
    // errors.test.ts has it, with the subscriptions of several tenants.
    assert.deepEqual(
      unanswered.map(([code]) => code),
      ['identityOfOtherTenant'],
    );
  });

  test('recognises each entry by each of its conditions, whatever stands above it', () => {
    for (const [code, { when }] of Object.entries<Refusal>(refusals))
      for (const recognition of when) for (const facts of factsOf(recognition)) assert.equal(recognise(facts), code, JSON.stringify(facts));
  });

  test('takes an unknown code by its status', () => {
    const byStatus = (status: number, about: About = 'unnamed') => recognise({ status, azureCode: 'NeverHeardOf', text: 'x', about });
    assert.deepEqual(
      [400, 403, 404, 409, 422, 500].map((status) => byStatus(status)),
      ['refused', 'forbidden', 'identityNotFound', 'otherConflict', 'refused', 'transient'],
    );
    assert.deepEqual(
      [400, 404, 409, 500].map((status) => byStatus(status, 'scope')),
      ['unknown', 'unknown', 'otherConflict', 'transient'],
    );
  });

  test('has a final reason only where somebody is to blame', () => {
    for (const [code, { reason, blamed }] of Object.entries<Refusal>(refusals)) assert.ok(!isTerminal(reason) || blamed !== 'nobody', code);
  });

  test('says in words what to do wherever a person must act', () => {
    for (const [code, { reason, advice }] of Object.entries<Refusal>(refusals))
      assert.ok(!isTerminal(reason) || advice !== undefined || code === 'identityInvalid', code);
  });

  test('is the table of docs/reference/arm.md', () => {
    const page = readFileSync(path.resolve(import.meta.dirname, '../../../docs/reference/arm.md'), 'utf8');
    const section = page.split('## What the controller makes of an error\n')[1]?.split('\n#')[0] ?? '';
    const rows = section.split('\n').filter((line) => line.startsWith('| `'));
    assert.deepEqual(rows, Object.entries<Refusal>(refusals).map(rowOf));
  });
});

/** One set of facts for each way in which a recognition can hold. */
function factsOf({ status, codes, texts, about }: Recognition) {
  const given = { '4xx': 422, '5xx': 599 };
  const base = {
    status: typeof status === 'string' ? given[status] : status,
    azureCode: '',
    text: '',
  };
  const ways = [
    ...(codes ?? []).map((code) => ({ ...base, azureCode: code.replaceAll('*', 'X') })),
    ...(texts ?? []).map((text) => ({ ...base, text: `So it is: ${text.toUpperCase()}.` })),
  ];
  return (ways.length === 0 ? [base] : ways).flatMap((facts) => (about ?? (['scope'] as const)).map((each) => ({ ...facts, about: each })));
}

const abouts: Record<About, string> = {
  identity: 'an identity of the write',
  attached: 'an identity that is attached and not of the write',
  other: 'another resource',
  scope: 'the scale set or machine',
  unnamed: 'nothing',
};

function rowOf([code, { when, reason, retry, blamed, advice = '' }]: [string, Refusal]): string {
  const recognised = when.length === 0 ? 'no answer' : when.map(textOf).join('<br>');
  return `| \`${code}\` | ${recognised} | \`${reason}\` | ${retry} | ${blamed} | ${advice.replaceAll('<', '\\<')} |`;
}

function textOf({ status, codes = [], texts = [], about }: Recognition): string {
  const marks = [...codes.map((code) => `\`${code}\``), ...texts.map((text) => `"${text}"`)].join(' or ');
  const names = about === undefined ? '' : `, names ${about.map((each) => abouts[each]).join(' or ')}`;
  return `${[status, marks].filter((part) => part !== undefined && part !== '').join(' ')}${names}`;
}
