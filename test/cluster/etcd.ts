// What tests do to an API server behind its back, in its etcd: forget the history, and make everything as it was before. The API server follows by its
// own watches. Requests go to the JSON gateway of etcd, whose keys and values are base64.
import { setTimeout as delay } from 'node:timers/promises';
import { ask } from './ready.ts';

/** Values by key, both in base64. */
export type EtcdState = ReadonlyMap<string, string>;

const encode = (text: string) => Buffer.from(text).toString('base64');
const decode = (text: string) => Buffer.from(text, 'base64').toString();

async function post(url: string, path: string, body: object): Promise<string> {
  const answer = await ask(`${url}${path}`, { method: 'POST', body: JSON.stringify(body) });
  if (answer.status !== 200) throw new Error(`etcd ${path}: ${answer.status} ${answer.body}`);
  return answer.body;
}

/** etcd's own revision is in the header of every answer. */
export async function compact(url: string): Promise<void> {
  const read = await post(url, '/v3/kv/range', { key: encode('\0') });
  const revision = read.match(/"revision":"(\d+)"/)?.[1];
  if (revision === undefined) throw new Error(`etcd answers without a revision: ${read}`);
  await post(url, '/v3/kv/compaction', { revision, physical: true });
}

/** Everything that API clients can see. */
export async function readState(url: string): Promise<EtcdState> {
  const { kvs = [] }: { kvs?: { key: string; value?: string }[] } = JSON.parse(
    await post(url, '/v3/kv/range', { key: encode('/registry/'), range_end: encode('/registry0') }),
  );
  const isOwn = (key: string) => ownKeys.some((prefix) => decode(key).startsWith(prefix));
  return new Map(kvs.filter(({ key }) => !isOwn(key)).map(({ key, value = '' }) => [key, value]));
}
/** The API server renews them while it runs. */
const ownKeys = ['/registry/masterleases/', '/registry/leases/kube-system/apiserver-'];

/** Brings back that state. Controllers that run may write in answer to what goes, so it counts once it has stayed for a moment. */
export async function restoreState(url: string, state: EtcdState): Promise<void> {
  let unchanged = 0;
  for (let tries = 0; tries < 40; tries += 1) {
    const changes = changesBetween(await readState(url), state);
    unchanged = changes.length === 0 ? unchanged + 1 : 0;
    if (unchanged === 3) return;
    // etcd takes 128 operations at once.
    for (let start = 0; start < changes.length; start += 100) await post(url, '/v3/kv/txn', { success: changes.slice(start, start + 100) });
    if (changes.length === 0) await delay(150);
  }
  throw new Error('the state of etcd goes on changing while it is restored');
}

type Change = { requestDeleteRange: { key: string } } | { requestPut: { key: string; value: string } };

/** What makes other objects goes first. */
const makers = ['/registry/namespaces/', '/registry/deployments/', '/registry/jobs/'];

function changesBetween(now: EtcdState, wanted: EtcdState): Change[] {
  const extra = [...now.keys()].filter((key) => !wanted.has(key));
  const isMaker = (key: string) => makers.some((prefix) => decode(key).startsWith(prefix));
  const ordered = [...extra.filter(isMaker), ...extra.filter((key) => !isMaker(key))];
  const different = [...wanted].filter(([key, value]) => now.get(key) !== value);
  return [...ordered.map((key) => ({ requestDeleteRange: { key } })), ...different.map(([key, value]) => ({ requestPut: { key, value } }))];
}
