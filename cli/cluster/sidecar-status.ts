import type { IdentityRow, IdentityState } from '../../api/broker.ts';
import type { SidecarStatus } from '../../api/sidecar-status.ts';
import { at, isRecord, stringAt } from '../../lib/kube/objects.ts';

/** Undefined for text that is not the answer of `sidecar.js status`. Whoever rules the pod can print anything there. */
export function parseSidecarStatus(text: string): SidecarStatus | undefined {
  const raw = parseJson(text);
  const version = stringAt(raw, 'version');
  const address = stringAt(raw, 'broker', 'address');
  if (version === undefined || address === undefined) return undefined;
  const answered = at(raw, 'broker', 'answeredSecondsAgo');
  const error = stringAt(raw, 'broker', 'error');
  const code = stringAt(raw, 'revoked', 'code');
  const rows = at(raw, 'identities');
  const defaultIdentity = stringAt(raw, 'defaultIdentity');
  return {
    version,
    broker: {
      address,
      ...(typeof answered === 'number' ? { answeredSecondsAgo: answered } : {}),
      ...(error === undefined ? {} : { error }),
    },
    excepted: at(raw, 'excepted') === true,
    ...(code === undefined ? {} : { revoked: { code, message: stringAt(raw, 'revoked', 'message') ?? '' } }),
    ...(defaultIdentity === undefined ? {} : { defaultIdentity }),
    identities: Array.isArray(rows) ? rows.filter(isRecord).map(rowOf) : [],
    cachedTokens: Number(at(raw, 'cachedTokens')) || 0,
  };
}

const states: readonly IdentityState[] = ['Created', 'Assigned', 'Failed'];

function rowOf(raw: Record<string, unknown>): IdentityRow {
  const text = (key: string): string => stringAt(raw, key) ?? '';
  const reason = stringAt(raw, 'reason');
  return {
    name: text('name'),
    namespace: text('namespace'),
    binding: text('binding'),
    type: raw.type === 1 || raw.type === 2 || raw.type === 3 ? raw.type : 0,
    source: raw.source === 'broker' ? 'broker' : 'imds',
    clientID: text('clientID'),
    resourceID: text('resourceID'),
    state: states.find((state) => state === raw.state) ?? 'Created',
    ...(reason === undefined ? {} : { reason }),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
