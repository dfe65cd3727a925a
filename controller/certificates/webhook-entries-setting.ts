// The setting webhookEntries: JSON from the chart, parsed once. Errors name the path and what is accepted there.
import type { Option } from '../../common/options.ts';
import { SettingsError } from '../../common/options.ts';
import { isRecord } from '../../common/records.ts';
import { parseJson, refused } from '../../lib/json-setting.ts';

/** Throws {@link SettingsError}. */
type Parser<T> = (value: unknown, path: string) => T;
/** An optional field is absent, never undefined: an entry is compared with what the API server stores. */
type Fields<R, O> = { [K in keyof R]: R[K] extends Parser<infer T> ? T : never } & {
  [K in keyof O]?: O[K] extends Parser<infer T> ? T : never;
};

const text: Parser<string> = (value, path) => {
  if (typeof value === 'string') return value;
  throw refused(path, value, 'a text');
};

const wholeNumber: Parser<number> = (value, path) => {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  throw refused(path, value, 'a whole number');
};

const listOf =
  <T>(item: Parser<T>): Parser<T[]> =>
  (value, path) => {
    if (!Array.isArray(value)) throw refused(path, value, 'a list');
    return value.map((each: unknown, index) => item(each, `${path}[${index}]`));
  };

const mapOf =
  <T>(item: Parser<T>): Parser<Record<string, T>> =>
  (value, path) => {
    if (!isRecord(value)) throw refused(path, value, 'an object');
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, item(each, `${path}.${key}`)]));
  };

/** An object with all fields of `required`, some of `optional` and no other. */
const recordOf =
  <R extends Record<string, Parser<unknown>>, O extends Record<string, Parser<unknown>> = Record<never, never>>(
    required: R,
    optional?: O,
  ): Parser<Fields<R, O>> =>
  (value, path) => {
    const parsers: Record<string, Parser<unknown>> = { ...optional, ...required };
    const accepted = `an object with ${Object.keys(required).join(', ')}`;
    if (!isRecord(value)) throw refused(path, value, accepted);
    const missing = Object.keys(required).find((key) => !Object.hasOwn(value, key));
    if (missing !== undefined) throw new SettingsError(`${path}.${missing} is missing: accepted is ${accepted}`);
    const fields = Object.entries(value).map(([key, each]) => {
      const parser = Object.hasOwn(parsers, key) ? parsers[key] : undefined;
      if (parser === undefined) throw new SettingsError(`${path}.${key} is not known: accepted is ${Object.keys(parsers).join(', ')}`);
      return [key, parser(each, `${path}.${key}`)];
    });
    return Object.fromEntries(fields) as Fields<R, O>;
  };

const selector = recordOf(
  {},
  { matchLabels: mapOf(text), matchExpressions: listOf(recordOf({ key: text, operator: text }, { values: listOf(text) })) },
);

/** All that the API server would default is required, so that an entry that is read back is equal to the setting. */
const entry = recordOf({
  name: text,
  admissionReviewVersions: listOf(text),
  clientConfig: recordOf({ service: recordOf({ name: text, namespace: text, path: text, port: wholeNumber }) }),
  failurePolicy: text,
  matchPolicy: text,
  reinvocationPolicy: text,
  sideEffects: text,
  timeoutSeconds: wholeNumber,
  rules: listOf(
    recordOf({ apiGroups: listOf(text), apiVersions: listOf(text), operations: listOf(text), resources: listOf(text), scope: text }),
  ),
  objectSelector: selector,
  namespaceSelector: selector,
});

/** An entry of the MutatingWebhookConfiguration, without its caBundle. */
export type WebhookEntry = ReturnType<typeof entry>;
export type EntrySelector = ReturnType<typeof selector>;

/** Throws {@link SettingsError}. */
export function parseWebhookEntries(json: string): readonly WebhookEntry[] {
  return listOf(entry)(parseJson('webhookEntries', json, form), 'webhookEntries');
}

const form = 'a JSON list of webhooks of a MutatingWebhookConfiguration, without caBundle';

export const webhookEntriesSetting: Option<readonly WebhookEntry[]> = {
  description: 'entries to keep in the MutatingWebhookConfiguration once the webhook serves; empty leaves it alone',
  form,
  fallback: [],
  parse: parseWebhookEntries,
};
