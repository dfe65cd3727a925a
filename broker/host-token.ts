// POST /v1/host-token: the node endpoint asks for the token of a pod on its node, before the containers of the pod run. The request is held until the
// identity is assigned (docs/adr/0032-node-endpoint.md).
import type { HostTokenRequest } from '../api/broker.ts';
import { maxHostTokenWait } from '../api/broker.ts';
import type { Selector } from '../api/identity-choice.ts';
import { selectorNames } from '../api/identity-choice.ts';
import type { Clock } from '../common/clock.ts';
import { at, isRecord, stringAt } from '../lib/kube/objects.ts';
import type { Caller } from './bound-token.ts';
import type { NodeOfCaller } from './caller-node.ts';
import { BrokerError } from './error.ts';
import type { HostDecision, HostDecisionInput } from './host-token-decision.ts';
import { decideHostToken } from './host-token-decision.ts';
import type { PodChanges } from './pod-changes.ts';
import type { RowSource } from './rows.ts';

/** Pods as the node endpoint may ask for them. */
export interface NodeEndpointRules {
  /** Volumes of these drivers make a pod one that is answered for. Empty: there is no node endpoint. */
  drivers: readonly string[];
  /** By `namespace/name`. */
  podOf(podKey: string): Pick<NonNullable<HostDecisionInput['found']>, 'pod' | 'excepted'> | undefined;
}

export interface HostTokenDependencies {
  rows: RowSource;
  rules: NodeEndpointRules;
  nodeOf: NodeOfCaller;
  changes: PodChanges;
  clock: Clock;
  stopping(): boolean;
}

/** Caches and bindings that are on their way arrive within this time. */
const settlingMs = 5_000;
/** Longer than any name in Kubernetes. */
const maxNameLength = 253;
const maxSelectorLength = 1_024;
const maxResourceLength = 2048;

/** The Assigned row that answers the request, and the uid of the pod. Throws {@link BrokerError}: `not_found`, or `not_ready` at the end of its wait. */
export async function awaitHostRow(
  { rows, rules, nodeOf, changes, clock, stopping }: HostTokenDependencies,
  { caller, request, signal }: { caller: Caller; request: HostTokenRequest; signal: AbortSignal },
): Promise<Extract<HostDecision, { kind: 'row' }>> {
  const start = clock.now();
  const waitMs = (request.wait ?? 0) * 1000;
  const node = await nodeOf(caller);
  const podKey = `${request.namespace}/${request.pod}`;
  for (;;) {
    const decision = decideHostToken({ request, node, drivers: rules.drivers, found: findPod(podKey, rows, rules) });
    if (decision.kind === 'row') return decision;
    const left = start + Math.min(waitMs, patienceOf(decision)) - clock.now();
    if (left <= 0 || signal.aborted || stopping()) throw decision.error;
    await changes.wait(podKey, left, signal);
  }
}

function patienceOf({ kind }: HostDecision): number {
  if (kind === 'refused') return 0;
  return kind === 'missing' ? settlingMs : Number.POSITIVE_INFINITY;
}

function findPod(podKey: string, rows: RowSource, { podOf }: NodeEndpointRules): HostDecisionInput['found'] {
  const known = podOf(podKey);
  const found = rows.get(podKey);
  return known === undefined || found === undefined ? undefined : { ...known, rows: found };
}

/** Throws {@link BrokerError}. */
export function parseHostTokenRequest(body: unknown): HostTokenRequest {
  const text = (key: string, max: number): string => {
    const value = stringAt(body, key);
    if (value === undefined || value === '' || value.length > max)
      throw new BrokerError('bad_request', `${key} must be a text of 1 to ${max} characters`);
    return value;
  };
  const wait = at(body, 'wait');
  if (wait !== undefined && !(typeof wait === 'number' && wait >= 0 && wait <= maxHostTokenWait))
    throw new BrokerError('bad_request', `wait must be seconds from 0 to ${maxHostTokenWait}`);
  const selector = parseSelector(at(body, 'selector'));
  const counts = stringAt(body, 'counts');
  return {
    namespace: text('namespace', maxNameLength),
    pod: text('pod', maxNameLength),
    resource: text('resource', maxResourceLength),
    ...(selector === undefined ? {} : { selector }),
    ...(wait === undefined ? {} : { wait }),
    ...(counts === undefined ? {} : { counts }),
  };
}

function parseSelector(given: unknown): Selector | undefined {
  if (given === undefined) return undefined;
  const name = selectorNames.find((known) => known === stringAt(given, 'name'));
  const value = stringAt(given, 'value') ?? '';
  if (!isRecord(given) || name === undefined || value === '' || value.length > maxSelectorLength)
    throw new BrokerError('bad_request', `selector must have a name (${selectorNames.join(', ')}) and a value`);
  return { name, value };
}
