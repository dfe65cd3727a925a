// Whether the sign-in and Resource Manager work, by the calls that are made anyway.
import type { CallStatus } from '../../api/installation-status.ts';
import type { Send } from './arm/client.ts';
import { ArmError } from './arm/errors.ts';

export interface AzureCalls {
  readonly signIn: CallStatus;
  readonly resourceManager: CallStatus;
}

/** `send` that remembers how its last calls went. `wall`: milliseconds since 1970. */
export function rememberCalls(send: Send, wall: () => number): { send: Send; calls(): AzureCalls } {
  let calls: AzureCalls = { signIn: { state: 'unknown' }, resourceManager: { state: 'unknown' } };
  return {
    calls: () => calls,
    async send(request) {
      const at = () => new Date(wall()).toISOString();
      try {
        const answer = await send(request);
        // ARM does not accept the token.
        const rejected: CallStatus = {
          state: 'failing',
          at: at(),
          message: 'Resource Manager answers 401: it does not accept the token of the sign-in',
        };
        calls = {
          signIn: answer.status === 401 ? rejected : { state: 'working', at: at() },
          resourceManager: { state: 'working', at: at() },
        };
        return answer;
      } catch (error) {
        if (error instanceof ArmError) {
          const failing: CallStatus = { state: 'failing', at: at(), message: error.message };
          calls = error.failure.code === 'signInFailed' ? { ...calls, signIn: failing } : { ...calls, resourceManager: failing };
        }
        throw error;
      }
    },
  };
}
