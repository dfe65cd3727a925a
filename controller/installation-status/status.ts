import type { InstallationStatus, ScopeStatus } from '../../api/installation-status.ts';
import { maxScopes } from '../../api/installation-status.ts';
import { version } from '../../api/version.ts';
import type { AzureCalls } from '../azure/call-status.ts';
import type { Conflict } from '../coexistence/conflict.ts';
import type { ControllerSettings } from '../settings.ts';

export interface StatusSources {
  leader: string;
  settings: Pick<ControllerSettings, 'operationMode' | 'forceNamespaced' | 'bindingNamespaces' | 'assignment' | 'assignUninjected'>;
  /** Undefined in managed mode. */
  calls: AzureCalls | undefined;
  conflict: Conflict | undefined;
  scopes: readonly ScopeStatus[];
}

export function installationStatusOf({ leader, settings, calls, conflict, scopes }: StatusSources): Omit<InstallationStatus, 'writtenAt'> {
  const sorted = scopes.toSorted((a, b) => Number(hasProblem(b)) - Number(hasProblem(a)));
  return {
    version,
    leader,
    mode: settings.operationMode,
    settings: {
      forceNamespaced: settings.forceNamespaced,
      bindingNamespaces: [...settings.bindingNamespaces],
      assignment: settings.assignment,
      assignUninjected: settings.assignUninjected,
    },
    signIn: calls?.signIn ?? { state: 'unknown' },
    resourceManager: calls?.resourceManager ?? { state: 'unknown' },
    ...(conflict === undefined ? {} : { conflict: { reason: conflict.reason, message: conflict.message } }),
    scopes: sorted.slice(0, maxScopes),
    scopesLeftOut: Math.max(0, sorted.length - maxScopes),
  };
}

const hasProblem = ({ failure, paused, quarantined }: ScopeStatus): boolean => failure !== undefined || paused || quarantined.length > 0;
