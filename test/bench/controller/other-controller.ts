// Another controller in place of ours, against the same API server and the same Azure, such as MIC of aad-pod-identity.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { start } from '../../cluster/processes.ts';
import type { Harness } from '../../integration/controller/harness/harness.ts';
import { fillIn } from '../options.ts';

/** Returns what ends it. Its log is in the folder of the control plane. */
export async function startOtherController({ plane, emulator }: Harness, command: string): Promise<() => Promise<void>> {
  const ca = path.join(plane.folder, 'other-controller-ca.crt');
  writeFileSync(ca, emulator.ca);
  const { arm, entra } = emulator.urls;
  const [file = '', ...args] = fillIn(command, { kubeconfig: plane.kubeconfig, arm, entra, ca });
  const program = start({ name: 'other-controller', file, args }, path.join(plane.folder, 'other-controller.log'));
  return () => program.stop(5);
}
