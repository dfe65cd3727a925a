import type { CallStatus, InstallationStatus, QuarantinedIdentity, ScopeStatus } from '../../api/installation-status.ts';
import { at, isRecord, stringAt, stringsAt } from '../../common/records.ts';

/** Undefined for text that is not such a status. What a newer controller adds is left out. */
export function parseInstallationStatus(text: string): InstallationStatus | undefined {
  const raw = parseJson(text);
  const writtenAt = stringAt(raw, 'writtenAt');
  if (writtenAt === undefined) return undefined;
  const reason = stringAt(raw, 'conflict', 'reason');
  return {
    version: stringAt(raw, 'version') ?? '',
    leader: stringAt(raw, 'leader') ?? '',
    writtenAt,
    mode: at(raw, 'mode') === 'managed' ? 'managed' : 'standard',
    settings: {
      forceNamespaced: at(raw, 'settings', 'forceNamespaced') === true,
      bindingNamespaces: stringsAt(raw, 'settings', 'bindingNamespaces'),
      assignment: at(raw, 'settings', 'assignment') === 'federate' ? 'federate' : 'attach',
      assignUninjected: at(raw, 'settings', 'assignUninjected') === true,
    },
    signIn: callOf(at(raw, 'signIn')),
    resourceManager: callOf(at(raw, 'resourceManager')),
    ...(reason === undefined ? {} : { conflict: { reason, message: stringAt(raw, 'conflict', 'message') ?? '' } }),
    scopes: listOf(at(raw, 'scopes')).flatMap(scopeOf),
    scopesLeftOut: Number(at(raw, 'scopesLeftOut')) || 0,
  };
}

function callOf(raw: unknown): CallStatus {
  const when = stringAt(raw, 'at') ?? '';
  const state = stringAt(raw, 'state');
  if (state === 'working') return { state, at: when };
  if (state === 'failing') return { state, at: when, message: stringAt(raw, 'message') ?? '' };
  return { state: 'unknown' };
}

function scopeOf(raw: unknown): ScopeStatus[] {
  const id = stringAt(raw, 'id');
  if (id === undefined) return [];
  const text = (key: string): string => stringAt(raw, 'failure', key) ?? '';
  return [
    {
      id,
      ...(text('reason') === '' ? {} : { failure: { reason: text('reason'), message: text('message'), until: text('until') } }),
      paused: at(raw, 'paused') === true,
      quarantined: listOf(at(raw, 'quarantined')).flatMap(quarantinedOf),
    },
  ];
}

function quarantinedOf(raw: unknown): QuarantinedIdentity[] {
  const identity = stringAt(raw, 'identity');
  return identity === undefined ? [] : [{ identity, until: stringAt(raw, 'until') ?? '' }];
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value.filter(isRecord) : []);

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
