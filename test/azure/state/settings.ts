// How the emulated Azure behaves where the real one differs from day to day or where a test wants one of several documented ways.
import type { Range } from '../core/random.ts';
import type { Read } from './fields.ts';
import { count, fields, flag, listOf, oneOf, orNull, range, text } from './fields.ts';

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

const imds = (value: unknown, path: string) =>
  fields(value, path, {
    /** I3: the two codes seen for a missing Metadata header. */
    headerError: [oneOf('bad_request_102', 'invalid_request'), 'bad_request_102'],
    /** I2: the newer credential paths answer 400 without the header (present) or 404. */
    v2: [flag, false],
    /** I11: optional fields of the token body. */
    fields: [listOf(oneOf('ext_expires_in', 'client_id', 'refresh_token', 'refresh_in')), usualFields],
    server: [text, 'IMDS/150.870.65.1854'],
    tokenSeconds: [count, 86_400],
    /** I12: the same token is handed out until it is this old. */
    refreshAfterSeconds: [count, 43_200],
  });

const arm = (value: unknown, path: string) =>
  fields(value, path, {
    audiences: [listOf(text), publicArmAudiences],
    /** A7 */
    lro: [oneOf('202+async+location', '202+async', '200+async', '202+location', '200'), '202+async+location'],
    retryAfterSeconds: [orNull(count), null],
    operationMs: [operationMs, both(3000)],
    /** A7: when the status URL starts to answer 404. */
    operationRetentionSeconds: [count, 86_400],
    /** A8 */
    identityVisible: [oneOf('accept', 'completion'), 'accept'],
    /** A6 */
    etags: [flag, true],
    etagBump: [oneOf('accept', 'completion', 'both'), 'both'],
    /** A9 */
    concurrency: [oneOf('serialise', 'conflict', 'preempt'), 'serialise'],
    /** A11 */
    missingIdentity: [oneOf('accept', 'completion'), 'accept'],
    oldestApiVersion: [text, '2018-06-01'],
  });

const entra = (value: unknown, path: string) =>
  fields(value, path, {
    tokenSeconds: [count, 3599],
    /** E5: null leaves `refresh_in` out. */
    refreshInSeconds: [orNull(count), null],
    /** E4: refuse an assertion id that was used before. */
    refuseReplay: [flag, false],
  });

export const settings = (value: unknown, path: string) =>
  fields(value, path, {
    /** I1: from the end of the operation until IMDS knows the identity. */
    propagationMs: [range, { min: 0, max: 0 }],
    /** I13, A12: enforce the documented request limits. */
    limits: [(limits: unknown, at: string) => fields(limits, at, { imds: [flag, true], arm: [flag, true] }), { imds: true, arm: true }],
    imds: [imds, imds({}, '')],
    arm: [arm, arm({}, '')],
    entra: [entra, entra({}, '')],
  });

export type Settings = ReturnType<typeof settings>;
