// Before 1.6 the fields of aad-pod-identity began with a capital letter (docs/reference/aad-pod-identity.md#capitalised-fields). Its MIC rewrote such
// objects once. Where it never ran, and the CRDs are so old that the API server keeps unknown fields, they are still there.
import { at, isRecord } from './objects.ts';

const today: Readonly<Record<string, string>> = {
  ClientID: 'clientID',
  ClientPassword: 'clientPassword',
  ResourceID: 'resourceID',
  TenantID: 'tenantID',
  AzureIdentity: 'azureIdentity',
  Selector: 'selector',
  PodLabels: 'podLabels',
};

/** The `spec` of an object of our kinds with its fields under today's names, which win where there are both. */
export function specOf(raw: unknown): Record<string, unknown> | undefined {
  const spec = at(raw, 'spec');
  if (!isRecord(spec)) return undefined;
  if (!Object.keys(spec).some((key) => Object.hasOwn(today, key))) return spec;
  const renamed = Object.entries(spec).map(([key, value]) => [Object.hasOwn(today, key) ? (today[key] ?? key) : key, value]);
  const current = Object.entries(spec).filter(([key]) => !Object.hasOwn(today, key));
  return Object.fromEntries([...renamed, ...current]);
}
