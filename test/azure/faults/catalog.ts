// The kinds of fault that POST /faults accepts. Every option has a default, so a name and a scope are enough. docs/emulator.md lists them.
import { isRecord, json, text as textAnswer } from '../core/messages.ts';
import { knownCodes } from '../entra/errors.ts';
import type { Read } from '../state/fields.ts';
import { count, DocumentError, fields, flag, listOf, oneOf, orNull, range, text, textMap, whole } from '../state/fields.ts';
import type { Action } from './actions.ts';
import type { Fault } from './active-faults.ts';
import type { Effect, Refusal } from './effects.ts';

function within(least: number, most: number): Read<number> {
  return (value, path) => {
    if (typeof value === 'number' && value >= least && value <= most) return value;
    throw new DocumentError(path, `must be a number from ${least} to ${most}`);
  };
}

const aadstsCode: Read<number> = (value, path) => {
  if (typeof value === 'number' && knownCodes.includes(value)) return value;
  throw new DocumentError(path, `must be one of ${knownCodes.join(', ')}`);
};

const anything: Read<unknown> = (value) => value;

/** One act of another writer, e.g. `{"do":"capacity","resource":"<id>","instances":3}`. */
export const action: Read<Action> = (value, path) => {
  const choose = oneOf(
    'capacity',
    'bump-etag',
    'attach',
    'wipe',
    'delete',
    'recreate',
    'delete-identity',
    'recreate-identity',
    'put-credential',
    'delete-credential',
    'roll-keys',
  );
  const name = choose(isRecord(value) ? value.do : value, path === '' ? 'do' : `${path}.do`);
  const start = { do: [text] } as const;
  switch (name) {
    case 'roll-keys':
      return { ...fields(value, path, start), do: name };
    case 'capacity':
      return { ...fields(value, path, { ...start, resource: [text], instances: [count] }), do: name };
    case 'attach':
      return { ...fields(value, path, { ...start, resource: [text], identities: [listOf(text)] }), do: name };
    case 'wipe':
      return { ...fields(value, path, { ...start, resource: [text], identities: [listOf(text), null] }), do: name };
    case 'delete-identity':
    case 'recreate-identity':
      return { ...fields(value, path, { ...start, identity: [text] }), do: name };
    case 'put-credential': {
      const trust = { issuer: [text], subject: [text], audiences: [listOf(text), ['api://AzureADTokenExchange']] } as const;
      return { ...fields(value, path, { ...start, identity: [text], name: [text], ...trust }), do: name };
    }
    case 'delete-credential':
      return { ...fields(value, path, { ...start, identity: [text], name: [orNull(text), null] }), do: name };
    default:
      return { ...fields(value, path, { ...start, resource: [text] }), do: name };
  }
};

const imdsAnswer = (status: number, error: string, description: string): Effect => ({
  kind: 'answer',
  answer: json(status, { error, error_description: description }, { server: 'IMDS/150.870.65.1854' }),
});

type Service = 'imds' | 'arm' | 'entra';
type Options = Record<string, unknown>;
type Entry = {
  /** The only service that has it. */
  readonly service?: Service;
  /** How many requests it meets unless the document says otherwise. */
  readonly count?: number;
  readonly forMs?: number;
  /** The methods it hits when the document names none. */
  readonly method?: 'write';
  /** The part of the path it hits when the document names none. */
  readonly path?: string;
  readonly effect: (options: Options, identity: string | null) => Effect;
};

const bare = (options: Options) => fields(options, '', {});
const lost =
  (kind: 'hang' | 'half-open' | 'reset'): Entry['effect'] =>
  (options) => ({ kind, ...fields(options, '', { processed: [flag, kind === 'half-open'] }) });
const plain =
  (
    kind: 'conflict' | 'concurrent-credentials' | 'precondition-failed' | 'forbidden' | 'deny-assignment' | 'unauthorized',
  ): Entry['effect'] =>
  (options) => ({ kind, ...bare(options) });
const refusal = (read: (options: Options) => Refusal): Entry => ({
  service: 'arm',
  method: 'write',
  effect: (options) => ({ kind: 'refusal', refusal: read(options) }),
});
const ofIdentity =
  (kind: 'missing-identity' | 'role-missing'): Entry['effect'] =>
  (options, identity) => {
    bare(options);
    if (identity === null) throw new DocumentError('identity', `is needed: whose identity the fault "${kind}" is about`);
    return { kind, identity };
  };

export const catalog: Readonly<Record<string, Entry>> = {
  latency: {
    effect(options) {
      const { ms, median, p99 } = fields(options, '', { ms: [count, null], median: [count, null], p99: [count, null] });
      if (ms !== null) return { kind: 'latency', shape: { median: ms, p99: ms } };
      if (median === null && p99 === null) return { kind: 'latency', shape: null };
      if (median === null || p99 === null || median === 0 || p99 < median)
        throw new DocumentError('median', 'and p99 go together: above 0, and p99 not below the median');
      return { kind: 'latency', shape: { median, p99 } };
    },
  },
  hang: { effect: lost('hang') },
  'half-open': { effect: lost('half-open') },
  reset: { effect: lost('reset') },
  'slow-body': { effect: (options) => ({ kind: 'slow-body', ...fields(options, '', { ms: [count, 2000] }) }) },
  refuse: { forMs: 5000, effect: (options) => ({ kind: 'refuse', ...bare(options) }) },
  answer: {
    effect(options) {
      const { status, headers, body } = fields(options, '', { status: [within(200, 599)], headers: [textMap, {}], body: [anything, ''] });
      return { kind: 'answer', answer: typeof body === 'string' ? textAnswer(status, body, headers) : json(status, body, headers) };
    },
  },
  write: { count: 1, effect: (options) => ({ kind: 'write', ...fields(options, '', { action: [action] }) }) },

  'imds-404': {
    service: 'imds',
    count: 3,
    effect: (options) => ({ ...bare(options), ...imdsAnswer(404, 'not_found', 'IMDS endpoint is updating') }),
  },
  'imds-410': {
    service: 'imds',
    forMs: 70_000,
    effect: (options) => ({ ...bare(options), ...imdsAnswer(410, 'gone', 'IMDS is being updated, available within 70 seconds') }),
  },
  'imds-429': {
    service: 'imds',
    count: 1,
    effect: (options) => ({ ...bare(options), ...imdsAnswer(429, 'invalid_request', 'Temporarily throttled, too many requests') }),
  },
  // While IMDS restarts, another server of the host answers: in text, without the name of IMDS.
  'imds-500-text': {
    service: 'imds',
    count: 3,
    effect: (options) => ({
      ...bare(options),
      kind: 'answer',
      answer: textAnswer(500, 'Internal Server Error', { server: 'Microsoft-IIS/10.0' }),
    }),
  },
  'identity-not-found': {
    service: 'imds',
    forMs: 60_000,
    effect: (options) => ({ ...bare(options), ...imdsAnswer(400, 'invalid_request', 'Identity not found') }),
  },
  'bad-token': {
    count: 1,
    effect(options) {
      const { expired, audience } = fields(options, '', { expired: [flag, null], audience: [text, null] });
      return { kind: 'bad-token', expired: expired ?? audience === null, audience };
    },
  },
  'clock-skew': { effect: (options) => ({ kind: 'clock-skew', ...fields(options, '', { ms: [whole, 600_000] }) }) },
  'entra-error': {
    service: 'entra',
    count: 1,
    effect: (options) => ({
      kind: 'entra-error',
      ...fields(options, '', { aadsts: [aadstsCode, 90033], retryAfter: [orNull(count), null] }),
    }),
  },

  // An operation on a scale set usually takes 40 to 60 s. `null` never ends.
  operation: {
    service: 'arm',
    method: 'write',
    count: 1,
    effect(options) {
      const { ms, end, code, message } = fields(options, '', {
        ms: [orNull(range), { min: 40_000, max: 60_000 }],
        end: [oneOf('Succeeded', 'Failed', 'Canceled'), 'Succeeded'],
        code: [text, null],
        message: [text, 'The operation did not succeed.'],
      });
      const error =
        end === 'Succeeded' ? null : { code: code ?? (end === 'Failed' ? 'InternalExecutionError' : 'OperationPreempted'), message };
      return { kind: 'operation', ms, end, error };
    },
  },
  conflict: { service: 'arm', method: 'write', count: 1, effect: plain('conflict') },
  'concurrent-credentials': { service: 'arm', path: '/federatedIdentityCredentials/', count: 1, effect: plain('concurrent-credentials') },
  'precondition-failed': { service: 'arm', method: 'write', count: 1, effect: plain('precondition-failed') },
  forbidden: { service: 'arm', effect: plain('forbidden') },
  'deny-assignment': { service: 'arm', effect: plain('deny-assignment') },
  unauthorized: { service: 'arm', count: 1, effect: plain('unauthorized') },
  throttled: {
    service: 'arm',
    count: 1,
    effect: (options) => ({ kind: 'throttled', ...fields(options, '', { retryAfter: [orNull(count), 20] }) }),
  },
  'throttled-identity': {
    service: 'arm',
    method: 'write',
    count: 1,
    effect: (options) => ({ kind: 'throttled-identity', ...fields(options, '', { seconds: [count, 20] }) }),
  },
  'missing-identity': { service: 'arm', effect: ofIdentity('missing-identity') },
  'role-missing': { service: 'arm', effect: ofIdentity('role-missing') },
  ghost: {
    service: 'arm',
    method: 'write',
    effect: (options) => ({ kind: 'ghost', identity: fields(options, '', { attached: [text, null] }).attached }),
  },
  'scope-locked': refusal((options) => ({ fault: 'scope-locked', scope: fields(options, '', { lockedScope: [text, null] }).lockedScope })),
  'subscription-disabled': refusal((options) => ({ fault: 'subscription-disabled', ...bare(options) })),
  'property-change': refusal((options) => ({
    fault: 'property-change',
    ...fields(options, '', { property: [text, 'platformFaultDomainCount'] }),
  })),
  'quota-exceeded': refusal((options) => ({ fault: 'quota-exceeded', ...bare(options) })),
  'policy-denied': refusal((options) => ({
    fault: 'policy-denied',
    ...fields(options, '', { evaluates: [text, 'properties.virtualMachineProfile.osProfile'] }),
  })),
  'linked-forbidden': refusal((options) => {
    const { action, linkedScope } = fields(options, '', {
      action: [text, 'Microsoft.Network/virtualNetworks/subnets/join/action'],
      linkedScope: [text, '/subscriptions/0/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/hub/subnets/nodes'],
    });
    return { fault: 'linked-forbidden', action, scope: linkedScope };
  }),
  'reference-missing': refusal((options) => ({
    fault: 'reference-missing',
    ...fields(options, '', { target: [text, 'Microsoft.Network/networkSecurityGroups/nodes'] }),
  })),
};

const common = {
  service: [oneOf('imds', 'arm', 'entra'), null],
  method: [text, null],
  path: [text, null],
  resource: [text, null],
  identity: [text, null],
  skip: [count, 0],
  count: [orNull(count), null],
  probability: [within(0, 1), 1],
  forMs: [orNull(count), null],
} as const;

/** Reads one entry of POST /faults; throws a DocumentError that names the field. */
export function readFault(value: unknown, path: string, now: number): Omit<Fault, 'id'> {
  if (!isRecord(value)) throw new DocumentError(path, 'must be an object with "fault" and what it needs');
  const name = oneOf(...Object.keys(catalog))(value.fault, path === '' ? 'fault' : `${path}.fault`);
  const entry = catalog[name];
  if (entry === undefined) throw new DocumentError(path, 'is not in the catalog');
  const split = Object.groupBy(Object.entries(value), ([key]) =>
    key === 'fault' ? 'name' : Object.hasOwn(common, key) ? 'common' : 'options',
  );
  const shared = fields(Object.fromEntries(split.common ?? []), path, common);
  if (entry.service !== undefined && shared.service !== null && shared.service !== entry.service) {
    throw new DocumentError(path === '' ? 'service' : `${path}.service`, `must be "${entry.service}" for the fault "${name}"`);
  }
  const service = shared.service ?? entry.service ?? null;
  const { path: part, resource, identity, skip, probability } = shared;
  const given = (key: string) => Object.hasOwn(value, key);
  const times = given('count') ? shared.count : given('forMs') ? null : (entry.count ?? null);
  const forMs = given('forMs') ? shared.forMs : given('count') ? null : (entry.forMs ?? null);
  const effect = entry.effect(Object.fromEntries(split.options ?? []), identity);
  const scope = { service, method: shared.method ?? entry.method ?? null, path: part ?? entry.path ?? null, resource, identity };
  return { name, scope, skip, count: times, probability, until: forMs === null ? null : now + forMs, effect };
}
