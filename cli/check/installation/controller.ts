import type { CallStatus, InstallationStatus, ScopeStatus } from '../../../api/installation-status.ts';
import { isTerminal } from '../../../lib/identities/reasons.ts';
import { at, stringAt } from '../../../lib/kube/objects.ts';
import type { Release } from '../../cluster/installation.ts';
import type { Code } from '../../codes.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed, skipped, warning } from '../../finding.ts';
import { isAssignmentReason, reasonAdvice } from '../reason-advice.ts';
import { unreadable } from '../unreadable.ts';

const leaseLimitMs = 60_000;
/** The leader writes its status at least once a minute. */
const statusLimitMs = 3 * 60_000;

export function checkController(release: Release, now: Date): Finding[] {
  const leader = checkLeader(release, now);
  return [leader, ...(leader.status === 'broken' ? [] : checkStatus(release, now))];
}

export function checkLeader({ namespace, lease }: Release, now: Date): Finding {
  const title = 'leader';
  const command = `kubectl get pods,lease -n ${namespace} -l app.kubernetes.io/component=controller`;
  const noLeader = (message: string) =>
    broken('NoLeader', {
      title,
      message: `${message}, so nothing is assigned, attached or renewed; tokens of assigned identities go on`,
      advice: 'Look at the pods of the controller and their log.',
      command: `kubectl logs -n ${namespace} -l app.kubernetes.io/component=controller --tail=50`,
    });
  if (!('value' in lease))
    return lease.why === 'absent' ? noLeader('no controller has ever led') : { ...unreadable(title, lease), command };
  const holder = stringAt(lease.value, 'spec', 'holderIdentity') ?? '';
  if (holder === '') return noLeader('no replica holds the Lease');
  const ageMs = now.getTime() - Date.parse(stringAt(lease.value, 'spec', 'renewTime') ?? '');
  // NaN where nobody wrote a time.
  if (!(ageMs < leaseLimitMs)) return noLeader(`${holder} has not renewed the Lease for ${Math.round(ageMs / 1000)} s`);
  const transitions = at(lease.value, 'spec', 'leaseTransitions');
  return passed(
    `${holder.split('_')[0]} leads${typeof transitions === 'number' && transitions > 0 ? `, after ${transitions} changes` : ''}`,
  );
}

function checkStatus({ namespace, status }: Release, now: Date): Finding[] {
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
    ...checkConflict(found),
    ...(found.mode === 'managed' ? [passed('managed mode: Azure is not called')] : checkAzure(found)),
    ...checkScopes(found, now),
  ];
}

function checkConflict({ conflict }: InstallationStatus): Finding[] {
  if (conflict === undefined) return [];
  const code: Code = conflict.reason === 'OtherReleaseRuns' ? 'OtherReleaseRuns' : 'UpstreamControllerRuns';
  return [
    broken(code, { title: 'other controllers', message: conflict.message, advice: 'Scale the other controller down or uninstall it.' }),
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

function checkScopes({ scopes, scopesLeftOut }: InstallationStatus, now: Date): Finding[] {
  const problems = scopes.flatMap((scope) => checkScope(scope, now));
  return problems.length > 0 || scopes.length === 0
    ? problems
    : [passed(`scale sets and VMs without a problem: ${scopes.length + scopesLeftOut}`)];
}

function checkScope({ id, failure, paused, quarantined }: ScopeStatus, now: Date): Finding[] {
  const title = id.split('/').slice(-2).join(' ');
  const findings: Finding[] = quarantined.map(({ identity, until }) =>
    warning('Quarantined', {
      title,
      message: `${identity} is kept out until ${until}, because Azure refused it`,
      advice: 'Mend the AzureIdentity: any change of it ends the wait.',
    }),
  );
  if (paused)
    findings.push(
      warning('ScopePaused', {
        title,
        message: 'its record is paused: nothing is attached or detached',
        advice: reasonAdvice.ScopePaused.advice,
      }),
    );
  if (failure !== undefined && isAssignmentReason(failure.reason) && !(Date.parse(failure.until) < now.getTime())) {
    const details = { title, message: failure.message, advice: reasonAdvice[failure.reason].advice };
    findings.push(isTerminal(failure.reason) ? broken(failure.reason, details) : warning(failure.reason, details));
  }
  return findings;
}
