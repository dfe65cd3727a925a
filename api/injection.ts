// What the webhook adds to a pod, and what it writes about it for the controller and the sidecar to read.
import { emptyVolumeName, initContainerName, proxyContainerName, tokenVolumeName } from './names.ts';

export type SidecarMode = 'native' | 'classic';
export type Interception = 'redirect' | 'none';
/** Value of the label `injected`. */
export type InjectedMarker = Interception | 'guard';

export const injectedContainerNames: ReadonlySet<string> = new Set([initContainerName, proxyContainerName]);
export const injectedVolumeNames: ReadonlySet<string> = new Set([tokenVolumeName, emptyVolumeName]);

/** JSON value of the status annotation. Its presence says that the webhook added containers; the hash says by which template. */
export interface InjectionStatus {
  version: string;
  /** Hash of what the webhook inserts for this pod. It differs when an upgraded webhook would insert something else. */
  templateHash: string;
  /** Of the webhook's settings, as the chart hashed them: `sidecarSettingsHash` of the controller differs once other ones count. */
  settingsHash?: string;
  mode: SidecarMode;
  interception: InjectedMarker;
  initContainers: string[];
  containers: string[];
  volumes: string[];
}
