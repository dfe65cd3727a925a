// What the webhook writes on an injected pod and the controller reads back.

export type SidecarMode = 'native' | 'classic';
export type Interception = 'redirect' | 'none';

/** JSON value of the status annotation. Presence alone tells "injected"; the hash tells "by which template". */
export interface InjectionStatus {
  version: string;
  /** Hash of what render would insert for this pod's settings; differs when an upgrade would render otherwise. */
  templateHash: string;
  mode: SidecarMode;
  interception: Interception;
  initContainers: string[];
  containers: string[];
  volumes: string[];
}
