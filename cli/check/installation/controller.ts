import type { CallStatus, InstallationStatus, ScopeStatus } from '../../../api/installation-status.ts';
import { isTerminal } from '../../../lib/identities/reasons.ts';
import { at, stringAt } from '../../../lib/kube/objects.ts';
import type { Installation, Release } from '../../cluster/installation.ts';
import type { Code } from '../../codes.ts';
import type { Finding, Problem } from '../../finding.ts';
import { broken, passed, skipped, warning } from '../../finding.ts';
import { isAssignmentReason, reasonAdvice } from '../reason-advice.ts';
import { unreadable } from '../unreadable.ts';
import { identityNames } from './identities.ts';

const leaseLimitMs = 60_000;
/** The leader writes its status at least once a minute. */
const statusLimitMs = 3 * 60_000;

export function checkController(installation: Installation, release: Release, now: Date): Finding[] {
  const leader = checkLeader(release, now);
  return [leader, ...(leader.status === 'broken' ? [] : checkStatus(installation, release, now))];
}

export function checkLeader({ namespace, lease }: Release, now: Date): Finding {
  const title = 'leader';
  const noLeader = (message: string) =>
    broken('NoLeader', {
      title,
      message: `${message}, so nothing is assigned, attached or renewed; tokens of assigned identities go on`,
      advice: 'Look at the pods of the controller and their log.',
      command: `kubectl logs -n ${namespace} -l app.kubernetes.io/component=controller --tail=50`,
    });
  if (!('value' in lease)) return lease.why === 'absent' ? noLeader('no controller has ever led') : unreadable(title, lease);
  const holder = stringAt(lease.value, 'spec', 'holderIdentity') ?? '';
  if (holder === '') return noLeader('no replica holds the Lease');
  const ageMs = now.getTime() - Date.parse(stringAt(lease.value, 'spec', 'renewTime') ?? '');
  // NaN where nobody wrote a time.
  if (!(ageMs < leaseLimitMs)) return noLeader(`${holder} has not renewed the Lease for ${Math.round(ageMs / 1000)} s`);
  const transitions = at(lease.value, 'spec', 'leaseTransitions');
  return passed(
    `${holder.split('_')[0]} leads${typeof transitions === 'number' && transitions > 0 ? `, after ${transitions} changes` : ''}; it renewed the Lease ${secondsOf(ageMs)} s ago`,
  );
}

/** Clocks differ. */
const secondsOf = (ageMs: number): number => Math.max(0, Math.round(ageMs / 1000));

function checkStatus(installation: Installation, { namespace, status }: Release, now: Date): Finding[] {
  const title = 'status of the leader';
  if (!('value' in status) && status.why !== 'absent') return [unreadable(title, status)];
  const found = 'value' in status ? status.value : undefined;
  const ageMs = now.getTime() - Date.parse(found?.writtenAt ?? '');
  if (found === undefined || !(ageMs < statusLimitMs))
    return [
      warning('StatusOld', {
        title,
        message: found === undefined ? 'the leader has written none yet' : `it is ${Math.round(ageMs / 1000)} s old`,
        advice: 'What only the leader knows is not checked. Wait a minute after a start; else look at its log.',
        command: `kubectl logs -n ${namespace} -l app.kubernetes.io/component=controller --tail=50`,
      }),
    ];
  return [
    passed(`wrote its status ${secondsOf(ageMs)} s ago`),
    ...checkConflict(found),
    ...(found.mode === 'managed' ? [passed('managed mode: Azure is not called')] : checkAzure(found)),
    ...checkScopes(installation, found, now),
  ];
}

/** Another controller does the same work, so this one assigns nothing. */
export function checkConflict({ conflict }: InstallationStatus): Problem[] {
  if (conflict === undefined) return [];
  const isRelease = conflict.reason === 'OtherReleaseRuns';
  return [
    broken(isRelease ? 'OtherReleaseRuns' : 'UpstreamControllerRuns', {
      title: 'other controllers',
      message: conflict.message,
      advice: 'Scale the other controller down or uninstall it.',
      command: isRelease ? 'helm list -A' : 'kubectl get pods -A -l app.kubernetes.io/component=mic',
    }),
  ];
}

function checkAzure({ signIn, resourceManager }: InstallationStatus): Finding[] {
  return [
    checkCall(signIn, {
      title: 'sign-in to Azure',
      good: 'signs in to Azure',
      code: 'SignInFailed',
      advice: 'Compare the sign-in values of the chart with the application or identity in Entra.',
    }),
    checkCall(resourceManager, {
      title: 'Azure Resource Manager',
      good: 'Azure Resource Manager answers',
      code: 'ResourceManagerUnreachable',
      advice: 'See whether the egress of the controller reaches management.azure.com, or the endpoint of your cloud, on port 443.',
    }),
  ];
}

function checkCall(call: CallStatus, about: { title: string; good: string; code: Code; advice: string }): Finding {
  if (call.state === 'unknown') return skipped(`${about.title}: not needed yet, so not tried`);
  if (call.state === 'working') return passed(about.good);
  return broken(about.code, { title: about.title, message: call.message, advice: about.advice });
}

function checkScopes(installation: Installation, { scopes, scopesLeftOut }: InstallationStatus, now: Date): Finding[] {
  const problems = scopes.flatMap((scope) => [...checkQuarantined(installation, scope), ...checkScope(scope, now)]);
  return problems.length > 0 || scopes.length === 0
    ? problems
    : [passed(`scale sets and VMs without a problem: ${scopes.length + scopesLeftOut}`)];
}

/** The namespaces that have the identity are those whose authors can mend it. */
function checkQuarantined(installation: Installation, { id, quarantined }: ScopeStatus): Finding[] {
  return quarantined.map(({ identity, until }) => {
    const names = identityNames(installation, identity);
    const [first] = names;
    return warning('Quarantined', {
      title: scopeName(id),
      message: `${identity}${first === undefined ? '' : ` (AzureIdentity ${names.join(', ')})`} is kept out until ${until}, because Azure refused it`,
      advice: `Mend the AzureIdentity${first === undefined ? ' with that resource id' : ''}: any change of it ends the wait.`,
      command:
        first === undefined
          ? 'kubectl get azureidentities -A'
          : `kubectl edit azureidentity ${first.split('/')[1]} -n ${first.split('/')[0]}`,
    });
  });
}

/** Their messages name the scope, its record and what Azure said. */
const showAssigned = 'kubectl get azureassignedidentities -A -o wide';

const scopeName = (id: string): string => id.split('/').slice(-2).join(' ');

function checkScope({ id, failure, paused }: ScopeStatus, now: Date): Finding[] {
  const title = scopeName(id);
  const findings: Finding[] = [];
  if (paused)
    findings.push(
      warning('ScopePaused', {
        title,
        message: 'its record is paused: nothing is attached or detached',
        advice: reasonAdvice.ScopePaused.advice,
        command: showAssigned,
      }),
    );
  if (failure !== undefined && isAssignmentReason(failure.reason) && !(Date.parse(failure.until) < now.getTime())) {
    const details = { title, message: failure.message, advice: reasonAdvice[failure.reason].advice, command: showAssigned };
    findings.push(isTerminal(failure.reason) ? broken(failure.reason, details) : warning(failure.reason, details));
  }
  return findings;
}
