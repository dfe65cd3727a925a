// The requests that the proxy passes on to IMDS. docs/reference/imds.md has the same table, and a test keeps both equal.

/** What the body of a POST may be. It is parsed, and made anew for IMDS. */
export type BodyKind = 'event approval' | 'TD report';

export interface PassedPath {
  method: 'GET' | 'POST';
  /** As IMDS gets it. Callers may spell it in any case. */
  path: string;
  /** Whether the paths below it are passed too. They keep their case. */
  below?: boolean;
  /** Parameters that are passed on. `all`: the service behind the path has its own, and new ones may come. */
  parameters: readonly string[] | 'all';
  body?: BodyKind;
  /** Callers do not send `Metadata: true`. */
  withoutHeader?: boolean;
}

const document = ['api-version', 'format'];

export const passedPaths: readonly PassedPath[] = [
  { method: 'GET', path: '/metadata/versions', parameters: [] },
  { method: 'GET', path: '/metadata/instance', below: true, parameters: [...document, 'extended'] },
  { method: 'GET', path: '/metadata/identity/info', parameters: ['api-version'] },
  { method: 'GET', path: '/metadata/attested/document', parameters: [...document, 'nonce'] },
  { method: 'GET', path: '/metadata/loadbalancer', parameters: document },
  { method: 'GET', path: '/metadata/THIM', below: true, parameters: 'all' },
  { method: 'GET', path: '/metadata/scheduledevents', parameters: ['api-version'] },
  { method: 'POST', path: '/metadata/scheduledevents', parameters: ['api-version'], body: 'event approval' },
  { method: 'POST', path: '/acc/tdquote', parameters: [], body: 'TD report', withoutHeader: true },
];

export const instancePath = '/metadata/instance';

/** Compares by whole segments. `segments` are in lower case. */
export function isAt({ path, below }: PassedPath, segments: readonly string[]): boolean {
  const own = path.toLowerCase().split('/').slice(1);
  return (
    (below === true ? segments.length >= own.length : segments.length === own.length) && own.every((part, at) => segments[at] === part)
  );
}
