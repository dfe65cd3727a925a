// Variables that lead the token requests of a container to an HTTP proxy, where nobody has a token for it: many clients obey them.

import type { Interception } from '../../api/injection.ts';
import { imdsAddress, proxyPort } from '../../api/names.ts';
import { isRecord, stringAt } from '../../common/records.ts';
import type { ContainerView } from '../../lib/identities/decision/container-view.ts';
import { listOf } from '../../lib/identities/decision/container-view.ts';

/** The token endpoint is plain HTTP, so HTTPS_PROXY is not meant. */
const proxyNames = /^(http|all)_proxy$/i;

/** Undefined where the manifest shows no such variable, or cannot show what else there is. */
export function proxyVariableWarning({ raw, place }: ContainerView, interception: Interception): string | undefined {
  const variables = listOf(raw.env).filter(isRecord);
  const proxy = variables.find((one) => proxyNames.test(stringAt(one, 'name') ?? '') && stringAt(one, 'value') !== '');
  const exceptions = variables.filter((one) => /^no_proxy$/i.test(stringAt(one, 'name') ?? ''));
  if (proxy === undefined || listOf(raw.envFrom).length > 0) return undefined;
  const target = interception === 'redirect' ? imdsAddress : '127.0.0.1';
  // A value that comes from elsewhere is not known here.
  if (exceptions.some((one) => stringAt(one, 'value') === undefined || covers(stringAt(one, 'value') ?? '', target))) return undefined;
  const endpoint = interception === 'redirect' ? target : `${target}:${proxyPort}`;
  return `${place} sets ${stringAt(proxy, 'name')}, and its token requests to ${endpoint} may go there: add ${target} to NO_PROXY`;
}

/** Whether a list names the address, a network of it, or everything. Clients differ in what else they understand. */
function covers(list: string, address: string): boolean {
  const [first, second] = address.split('.');
  return list.split(/[\s,]+/).some((entry) => entry === '*' || entry === address || entry.startsWith(`${first}.${second}.`));
}
