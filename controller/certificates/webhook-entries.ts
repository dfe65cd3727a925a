// Which entries the MutatingWebhookConfiguration should have. The chart renders it without any (docs/adr/0026-webhook-entries-by-the-controller.md).
// Pure.
import { isDeepStrictEqual } from 'node:util';
import { apiGroup } from '../../api/names.ts';
import { at, isRecord, stringAt } from '../../common/records.ts';
import type { EntrySelector, WebhookEntry } from './webhook-entries-setting.ts';

/**
 * `registered`: the API server calls the webhook for every entry. `waiting`: an entry is missing, and the webhook does not serve yet.
 * `other-release`: the entries call the Service of a release in another namespace, which keeps them.
 */
export type EntriesState = 'registered' | 'waiting' | 'other-release';

export interface EntriesPlan {
  state: EntriesState;
  /** The whole list to write; undefined where it is right already. */
  webhooks: readonly unknown[] | undefined;
}

export interface EntriesInput {
  /** `webhooks` of the configuration as it was read. */
  current: readonly unknown[];
  entries: readonly WebhookEntry[];
  /** PEM. */
  bundle: string;
  /** Whether a webhook is there to be called, so that an absent entry may be added. */
  isServing: boolean;
}

export function planEntries({ current, entries, bundle, isServing }: EntriesInput): EntriesPlan {
  const existing = new Map(current.map((webhook) => [stringAt(webhook, 'name'), webhook]));
  if (entries.some((entry) => callsOtherNamespace(existing.get(entry.name), entry))) return { state: 'other-release', webhooks: undefined };
  const caBundle = Buffer.from(bundle).toString('base64');
  const wanted = entries.filter(({ name }) => existing.has(name) || isServing);
  const webhooks = [
    ...wanted.map((entry) => ({
      ...entry,
      clientConfig: { ...entry.clientConfig, caBundle },
      namespaceSelector: withExpressionsOfAks(
        entry.namespaceSelector,
        at(existing.get(entry.name), 'namespaceSelector', 'matchExpressions'),
      ),
    })),
    ...current.filter((webhook) => !isOurs(webhook)),
  ];
  return {
    state: wanted.length === entries.length ? 'registered' : 'waiting',
    webhooks: isDeepStrictEqual(webhooks, current) ? undefined : webhooks,
  };
}

/** One that the setting does not name is from an earlier version or other values, and goes. Other names are whoever added them's and stay. */
export const isOurs = (webhook: unknown): boolean => stringAt(webhook, 'name')?.endsWith(`.${apiGroup}`) === true;

function callsOtherNamespace(webhook: unknown, entry: WebhookEntry): boolean {
  const namespace = stringAt(webhook, 'clientConfig', 'service', 'namespace');
  return namespace !== undefined && namespace !== entry.clientConfig.service.namespace;
}

/** Keeps what AKS adds to the selector of every webhook, in the order in which it stands: docs/reference/kubernetes.md#aks-and-webhooks. */
function withExpressionsOfAks(selector: EntrySelector, current: unknown): EntrySelector {
  const { matchExpressions: own = [] } = selector;
  const isOwn = (expression: unknown) => own.some((each) => isDeepStrictEqual(each, expression));
  const kept = (Array.isArray(current) ? (current as unknown[]) : []).filter((each) => isOwn(each) || isOfAks(each));
  const absent = own.filter((each) => !kept.some((one) => isDeepStrictEqual(each, one)));
  const matchExpressions = [...kept, ...absent] as NonNullable<EntrySelector['matchExpressions']>;
  return matchExpressions.length === 0 ? selector : { ...selector, matchExpressions };
}

/** Only what exempts namespaces with a label of AKS: any other operator would exempt those without it. */
function isOfAks(expression: unknown): boolean {
  const key = stringAt(expression, 'key') ?? '';
  const operator = stringAt(expression, 'operator') ?? '';
  return (
    isRecord(expression) &&
    (key === 'control-plane' || key.startsWith('kubernetes.azure.com/')) &&
    ['NotIn', 'DoesNotExist'].includes(operator)
  );
}
