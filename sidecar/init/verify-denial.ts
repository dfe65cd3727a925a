// Verifies the denial: a connection to 169.254.169.254:80 has to be refused, and by our own rule, whose counter has to have moved.
import { imdsAddress } from '../../api/names.ts';
import { CommandError } from '../errors.ts';

export type Connected = 'accepted' | 'refused' | 'unanswered';

export interface DenialProbe {
  /** Opens a TCP connection, sends nothing on it and closes it. */
  connect(address: string, port: number): Promise<Connected>;
}

export interface VerifyDenialOptions extends DenialProbe {
  /** Packets that our rule has rejected since it was loaded. */
  rejected(): Promise<number>;
}

/** Throws {@link CommandError}. */
export async function verifyDenial({ connect, rejected }: VerifyDenialOptions): Promise<void> {
  const found = await connect(imdsAddress, 80);
  // Something else may refuse too, and stop doing so later.
  if (found === 'refused' && (await rejected()) > 0) return;
  throw new CommandError(
    'denial_not_effective',
    `the rules are loaded but they did not reject a connection to ${imdsAddress}:80 (it was ${found}): another rule of this pod's network takes it`,
  );
}
