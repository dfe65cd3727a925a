// What a person reads who asked for a token and got none: what was asked for, what this pod has, which object is missing, since when and why.
import type { IdentityRow } from '../../api/broker.ts';
import { annotations, bindingLabel, brokerServiceName } from '../../api/names.ts';
import type { Selector } from './choose.ts';
import type { IdentityStore, View } from './store.ts';
import { rowKey } from './store.ts';

const listed = 20;
const longestEcho = 300;

export function describeRow(row: IdentityRow): string {
  return `AzureIdentity ${rowKey(row)} (binding ${row.binding})`;
}

const podOf = ({ pod }: View) => `pod ${pod.namespace}/${pod.name}`;
const cause = (trouble: string | undefined) => (trouble === undefined ? '' : `: ${trouble}`);
const seconds = (ms: number) => Math.round(ms / 1000);

export function silentBrokerText(sinceMs: number, trouble: string | undefined): string {
  return `the identity broker (Service ${brokerServiceName}) has not answered in the ${seconds(sinceMs)} s since this proxy started${cause(trouble)}`;
}

export function outdatedText(sinceMs: number, trouble: string | undefined): string {
  return `new tokens are not fetched: the identity broker (Service ${brokerServiceName}) last confirmed the identities of this pod ${seconds(sinceMs)} s ago${cause(trouble)}`;
}

export function pendingText(row: IdentityRow, { view, trouble }: Pick<IdentityStore, 'view' | 'trouble'>): string {
  const since = view?.pendingSince.get(rowKey(row));
  const when = since === undefined ? '' : ` since ${new Date(since).toISOString()}, as this proxy saw it`;
  const contact = trouble === undefined ? '' : `. The identity broker cannot be reached at this moment: ${trouble}`;
  return `${describeRow(row)} is pending${when}: ${row.reason ?? 'it is being attached to the node'}${contact}`;
}

export function failedText(row: IdentityRow): string {
  const reason = row.reason ?? 'the events of the pod and of the AzureIdentity tell why';
  return `Identity not found: ${describeRow(row)} cannot be assigned: ${reason}`;
}

export function revokedText({ code, message }: NonNullable<View['revoked']>): string {
  return `Identity not found: the identity broker refuses this pod with ${code}${message === '' ? '' : `: ${message}`}`;
}

/** Starts with IMDS's own words; credential chains compare them. */
export function notFoundText(view: View, selector: Selector | undefined): string {
  const [asked, missing] =
    selector !== undefined
      ? [
          `${selector.name} ${selector.value.slice(0, longestEcho)} is not bound to ${podOf(view)}`,
          `an AzureIdentity with this ${selector.name}`,
        ]
      : view.defaultKey !== undefined
        ? [
            `the default identity ${view.defaultKey} (annotation ${annotations.defaultIdentity}) is not bound to ${podOf(view)}`,
            `AzureIdentity ${view.defaultKey}`,
          ]
        : [`no identity is bound to ${podOf(view)}`, 'an AzureIdentity'];
  const bound = view.identities.slice(0, listed).map((row) => `${rowKey(row)} (client_id ${row.clientID || 'unknown'}, ${row.state})`);
  const more = view.identities.length > listed ? ` and ${view.identities.length - listed} more` : '';
  return `Identity not found: ${asked}. Bound to it: ${bound.join(', ') || 'nothing'}${more}. Needed are ${missing} and an AzureIdentityBinding that names it and whose selector equals the pod's label ${bindingLabel}`;
}
