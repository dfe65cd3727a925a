// Settings of a cluster: `up` writes them into the cluster's folder, the processes of the cluster read them.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ContainerRuntime, KubernetesProgram } from './binaries.ts';
import type { Unpacked } from './debian.ts';

export interface ImageArchive {
  reference: string;
  archive: string;
}

export interface ClusterSettings {
  name: string;
  folder: string;
  cgroup: string;
  programs: Record<KubernetesProgram, string>;
  helm: string;
  debian: Unpacked;
  /** Null for Debian's. */
  containerRuntime: ContainerRuntime | null;
  snapshotter: 'overlayfs' | 'native';
  /** References. */
  images: string[];
  /** Containerd's folder with the images in it. */
  imageStore: string;
  sandboxImage: string;
  providerID: string;
  /** State document of the emulator; null for its default. */
  azureStateFile: string | null;
  owned: boolean;
}

const file = 'settings.json';

export function writeSettings(settings: ClusterSettings): void {
  writeFileSync(path.join(settings.folder, file), JSON.stringify(settings, undefined, 2));
}

/** Reads what {@link writeSettings} of the same version of this repository wrote. */
export function readSettings(folder: string): ClusterSettings {
  const settings: ClusterSettings = JSON.parse(readFileSync(path.join(folder, file), 'utf8'));
  return settings;
}

/** Messages of the processes of a cluster to the one that starts it. */
export type Message = { type: 'progress'; line: string } | { type: 'ready' } | { type: 'failed'; reason: string };

export function parseMessage(value: unknown): Message | undefined {
  if (typeof value !== 'object' || value === null || !('type' in value)) return undefined;
  if (value.type === 'ready') return { type: 'ready' };
  if (value.type === 'progress' && 'line' in value && typeof value.line === 'string') return { type: 'progress', line: value.line };
  if (value.type === 'failed' && 'reason' in value && typeof value.reason === 'string') return { type: 'failed', reason: value.reason };
  return undefined;
}

/** Names of the sockets between inside and outside, relative to the folder: a socket's path is limited to 107 characters. */
export const sockets = { api: 'api.sock', control: 'control.sock' } as const;
