import { metadataOf, stringAt } from '../kube/objects.ts';

/** What is kept of a Node. */
export interface Node {
  name: string;
  /** Empty until the cloud provider has set it. */
  providerID: string;
}

export function nodeOf(raw: unknown): Node | undefined {
  const { name } = metadataOf(raw);
  return name === undefined ? undefined : { name, providerID: stringAt(raw, 'spec', 'providerID') ?? '' };
}
