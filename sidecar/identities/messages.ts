// Why a request for a token has no token, for the developer of the application: what was asked for, what the pod has, what is missing.
import type { IdentityRow } from '../../api/broker.ts';
import type { Selector } from '../../api/identity-choice.ts';
import { idOf, rowKey, selectorNames } from '../../api/identity-choice.ts';
import { annotations, bindingLabel, brokerServiceName } from '../../api/names.ts';
import { describeRow } from './row.ts';
import type { View } from './store.ts';

const maxListed = 20;
const maxEcho = 300;

const podOf = ({ pod }: View) => `pod ${pod.namespace}/${pod.name}`;
const cause = (error: string | undefined) => (error === undefined ? '' : `: ${error}`);
const seconds = (ms: number) => Math.round(ms / 1000);

export function unreachedBrokerMessage(sinceMs: number, contactError: string | undefined): string {
  return `the identity broker (Service ${brokerServiceName}) has not answered in the ${seconds(sinceMs)} s since this proxy started${cause(contactError)}`;
}

export function outdatedMessage(sinceMs: number, contactError: string | undefined): string {
  return `new tokens are not fetched: the identity broker (Service ${brokerServiceName}) last confirmed the identities of this pod ${seconds(sinceMs)} s ago${cause(contactError)}`;
}

export function pendingMessage(row: IdentityRow, view: View | undefined, contactError: string | undefined): string {
  const since = view?.pendingSince.get(rowKey(row));
  const when = since === undefined ? '' : ` since ${new Date(since).toISOString()}, as this proxy saw it`;
  const contact = contactError === undefined ? '' : `. The identity broker cannot be reached at this moment: ${contactError}`;
  return `${describeRow(row)} is pending${when}: ${row.reason ?? 'it is being attached to the node'}${contact}`;
}

export function unknownIdsMessage(selector: Selector, pending: string): string {
  return `${selector.name} is known once the identity is assigned, and ${pending}`;
}

export function failedMessage(row: IdentityRow): string {
  const reason = row.reason ?? 'see the Events of the pod and of the AzureIdentity';
  return `Identity not found: ${describeRow(row)} cannot be assigned: ${reason}`;
}

export function revokedMessage({ code, message }: NonNullable<View['revoked']>): string {
  return `Identity not found: the identity broker refuses this pod with ${code}${message === '' ? '' : `: ${message}`}`;
}

/** Starts with the words of IMDS, because credential chains compare them (docs/reference/imds.md). */
export function notFoundMessage(view: View, selector: Selector | undefined): string {
  const misnamed = selector === undefined ? undefined : misnamedMessage(view, selector);
  if (misnamed !== undefined) return misnamed;
  const { requested, missing } = describeRequest(view, selector);
  const bound = view.identities.slice(0, maxListed).map((row) => `${rowKey(row)} (client_id ${row.clientID || 'unknown'}, ${row.state})`);
  const more = view.identities.length > maxListed ? ` and ${view.identities.length - maxListed} more` : '';
  return `Identity not found: ${requested}. Bound to it: ${bound.join(', ') || 'nothing'}${more}. Needed are ${missing} and an AzureIdentityBinding that names it and whose selector equals the pod's label ${bindingLabel}`;
}

/** The id of a bound identity under the name of another kind of id, or its name: the object id and the name are often taken for the client id. */
function misnamedMessage({ identities }: View, { name, value }: Selector): string | undefined {
  const is = (other: string) => other.toLowerCase() === value.toLowerCase();
  for (const row of identities) {
    const other = selectorNames.find((one) => one !== name && is(idOf(row, one)));
    const isName = [row.name, rowKey(row), row.resourceID.split('/').at(-1) ?? ''].some(is);
    if (other === undefined && !isName) continue;
    const what = other === undefined ? 'a name' : `the ${other}`;
    const instead = `${other === undefined ? '' : `name it as ${other}, or `}use the ${name} ${idOf(row, name) || '(not known yet)'}`;
    return `Identity not found: no identity has the ${name} ${shown(value)}, which is ${what} of ${rowKey(row)}: ${instead}`;
  }
  return undefined;
}

/** Blanks, quotes and control characters become visible. */
const shown = (value: string) => (/^[\w./:-]+$/.test(value) ? value : JSON.stringify(value)).slice(0, maxEcho);

function describeRequest(view: View, selector: Selector | undefined): { requested: string; missing: string } {
  if (selector !== undefined) {
    const requested = `${selector.name} ${shown(selector.value)} is not bound to ${podOf(view)}`;
    return { requested, missing: `an AzureIdentity with this ${selector.name}` };
  }
  if (view.defaultKey !== undefined) {
    const requested = `the default identity ${view.defaultKey} (annotation ${annotations.defaultIdentity}) is not bound to ${podOf(view)}`;
    return { requested, missing: `AzureIdentity ${view.defaultKey}` };
  }
  return { requested: `no identity is bound to ${podOf(view)}`, missing: 'an AzureIdentity' };
}
