// How the emulated Azure behaves where the real one varies or documents several ways. docs/emulator.md#state
import type { Range } from '../core/random.ts';
import type { Read } from './fields.ts';
import { count, fields, flag, listOf, oneOf, orNull, positive, range, text } from './fields.ts';

const both = (ms: number): { scaleSet: Range; virtualMachine: Range } => ({
  scaleSet: { min: ms, max: ms },
  virtualMachine: { min: ms, max: ms },
});

const operationMs: Read<{ scaleSet: Range; virtualMachine: Range }> = (value, path) => {
  if (typeof value === 'object' && value !== null && ('scaleSet' in value || 'virtualMachine' in value)) {
    return fields(value, path, { scaleSet: [range, both(3000).scaleSet], virtualMachine: [range, both(3000).virtualMachine] });
  }
  const same = range(value, path);
  return { scaleSet: same, virtualMachine: same };
};

const publicArmAudiences = [
  'https://management.azure.com',
  'https://management.azure.com/',
  'https://management.core.windows.net',
  'https://management.core.windows.net/',
];

type TokenField = 'ext_expires_in' | 'client_id' | 'refresh_token' | 'refresh_in';
const usualFields: TokenField[] = ['ext_expires_in', 'client_id', 'refresh_token'];

const noEvents: string[] = [];

const imds = (value: unknown, path: string) =>
  fields(value, path, {
    /** The two codes seen for a missing Metadata header. */
    headerError: [oneOf('bad_request_102', 'invalid_request'), 'bad_request_102'],
    /** The newer credential paths answer 400 without the header (present) or 404. */
    v2: [flag, false],
    /** Optional fields of the token body. */
    fields: [listOf(oneOf('ext_expires_in', 'client_id', 'refresh_token', 'refresh_in')), usualFields],
    server: [text, 'IMDS/150.870.65.1854'],
    tokenSeconds: [count, 86_400],
    /** The same token is handed out until it is this old. */
    refreshAfterSeconds: [count, 43_200],
    /** Ids of the events that a machine hears of. */
    scheduledEvents: [listOf(text), noEvents],
  });

const arm = (value: unknown, path: string) =>
  fields(value, path, {
    audiences: [listOf(text), publicArmAudiences],
    /** How a write is answered: status and headers. */
    lro: [oneOf('202+async+location', '202+async', '200+async', '202+location', '200'), '202+async+location'],
    retryAfterSeconds: [orNull(count), null],
    operationMs: [operationMs, both(3000)],
    /** Time after which the status URL answers 404. */
    operationRetentionSeconds: [count, 86_400],
    /** When ARM shows the new identities. */
    identityVisible: [oneOf('accept', 'completion'), 'accept'],
    /** When the etag changes. */
    etags: [flag, true],
    etagBump: [oneOf('accept', 'completion', 'both'), 'both'],
    /** What becomes of a second write while one runs. */
    concurrency: [oneOf('serialise', 'conflict', 'preempt'), 'serialise'],
    /** When a missing identity fails the write. */
    missingIdentity: [oneOf('accept', 'completion'), 'accept'],
    oldestApiVersion: [text, '2018-06-01'],
    /** How long a write of a federated credential takes; another one of the same identity is refused meanwhile. */
    credentialWriteMs: [range, { min: 0, max: 0 }],
    /** Federated credentials on a page of their list; null: all. */
    credentialPageSize: [orNull(count), null],
    /** Where identities can have no federated credentials. */
    regionsWithoutFederation: [listOf(text), []],
  });

const entra = (value: unknown, path: string) =>
  fields(value, path, {
    tokenSeconds: [count, 3599],
    /** Null leaves `refresh_in` out. */
    refreshInSeconds: [orNull(count), null],
    /** Refuses an assertion id that was used before. */
    refuseReplay: [flag, false],
    /** Of tokens of user-assigned identities. */
    identityTokenSeconds: [count, 86_400],
    /** From the write of a federated credential until a replica knows it. */
    credentialPropagationMs: [range, { min: 0, max: 0 }],
    /** Each token request meets one of them at random. */
    replicas: [positive, 1],
    /** Equal token requests in 5 minutes until Entra sees a loop; null: any number. */
    loopAfter: [orNull(positive), null],
  });

export const settings = (value: unknown, path: string) =>
  fields(value, path, {
    /** From the end of the operation until IMDS knows the identity. */
    propagationMs: [range, { min: 0, max: 0 }],
    /** Enforces the documented request limits. */
    limits: [(limits: unknown, at: string) => fields(limits, at, { imds: [flag, true], arm: [flag, true] }), { imds: true, arm: true }],
    imds: [imds, imds({}, '')],
    arm: [arm, arm({}, '')],
    entra: [entra, entra({}, '')],
  });

export type Settings = ReturnType<typeof settings>;
