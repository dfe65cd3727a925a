import type { KubeClient } from './client.ts';
import { at, stringAt } from './objects.ts';
import type { Resource } from './resources.ts';

/**
 * Whether the API server serves a kind, by its own discovery, which every service account may read. Throws where that is unknown: only a
 * well-formed answer without the kind is a no; a 404 from whatever stands before the API server is not.
 */
export async function isServed(client: KubeClient, { group, version, plural }: Resource, signal: AbortSignal): Promise<boolean> {
  // The core group is part of every API server.
  if (group === '') return true;
  const groups = await itemsOf(client, '/apis', { kind: 'APIGroupList', field: 'groups', signal });
  const found = groups.find((each) => stringAt(each, 'name') === group);
  if (!listAt(found, 'versions').some((each) => stringAt(each, 'version') === version)) return false;
  const resources = await itemsOf(client, `/apis/${group}/${version}`, { kind: 'APIResourceList', field: 'resources', signal });
  return resources.some((each) => stringAt(each, 'name') === plural);
}

async function itemsOf(
  client: KubeClient,
  path: string,
  options: { kind: string; field: string; signal: AbortSignal },
): Promise<unknown[]> {
  const answer = await client.call('GET', path, { signal: options.signal });
  if (stringAt(answer, 'kind') !== options.kind) throw new Error(`${path} is not an ${options.kind}`);
  return listAt(answer, options.field);
}

function listAt(value: unknown, field: string): unknown[] {
  const found = at(value, field);
  return Array.isArray(found) ? found : [];
}
