import { initContainerName, proxyContainerName } from '../../../api/names.ts';
import { at, stringAt } from '../../../lib/kube/objects.ts';
import type { PodFacts } from '../../cluster/pod-facts.ts';
import { isProxyRunning, partsOf } from '../../cluster/pod-facts.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed, waiting } from '../../finding.ts';

export function checkStarted({ name, namespace }: PodFacts, pod: unknown): Finding[] {
  if ((stringAt(pod, 'spec', 'nodeName') ?? '') === '') return [notScheduled(pod, { name, namespace })];
  const init = checkInit(pod, { name, namespace });
  return init.status === 'passed' ? [init, checkProxy(pod, { name, namespace })] : [init];
}

interface Target {
  name: string;
  namespace: string;
}

function notScheduled(pod: unknown, { name, namespace }: Target): Finding {
  const conditions = at(pod, 'status', 'conditions');
  const refused = (Array.isArray(conditions) ? conditions : []).find((condition) => stringAt(condition, 'reason') === 'Unschedulable');
  const details = {
    title: 'node',
    message: `the pod has no node yet${refused === undefined ? '' : `: ${stringAt(refused, 'message') ?? 'the scheduler finds none'}`}`,
    advice: 'See why the scheduler finds none.',
    command: `kubectl describe pod ${name} -n ${namespace}`,
  };
  return refused === undefined
    ? waiting('NotScheduled', { ...details, advice: 'Wait a few seconds. If it stays so, see its Events.' })
    : broken('NotScheduled', details);
}

const logsOf = ({ name, namespace }: Target, container: string): string => `kubectl logs ${name} -n ${namespace} -c ${container}`;

function checkInit(pod: unknown, target: Target): Finding {
  const status = statusOf(pod, initContainerName);
  // With interception none there is no init container.
  if (status === undefined && !partsOf(pod, 'spec').some((container) => container.name === initContainerName))
    return passed('needs no redirect');
  const ended = at(status, 'state', 'terminated') ?? at(status, 'lastState', 'terminated');
  const code = at(ended, 'exitCode');
  if (code === 0) return passed('redirects IMDS to the proxy');
  if (code === undefined && isStarting(status)) return starting(target);
  const waiting = stringAt(status, 'state', 'waiting', 'message') ?? stringAt(status, 'state', 'waiting', 'reason');
  const message = stringAt(ended, 'message')?.trim() ?? waiting ?? 'it has not ended yet';
  return broken('InitFailed', {
    title: 'init container',
    message: `${initContainerName} ${code === undefined ? 'has not redirected IMDS yet' : `ended with code ${String(code)}`}: ${message}`,
    advice: 'Its log has the one line that says why.',
    command: logsOf(target, initContainerName),
  });
}

/** Kubelet has no fault to report of the container. */
function isStarting(status: unknown): boolean {
  const reason = stringAt(status, 'state', 'waiting', 'reason');
  return (
    at(status, 'lastState', 'terminated') === undefined &&
    (reason === undefined || reason === 'PodInitializing' || reason === 'ContainerCreating')
  );
}

const starting = ({ name, namespace }: Target): Finding =>
  waiting('Starting', {
    title: 'containers',
    message: 'the pod is starting',
    advice: 'Wait a few seconds. If it stays so, see its Events.',
    command: `kubectl describe pod ${name} -n ${namespace}`,
  });

function checkProxy(pod: unknown, target: Target): Finding {
  if (isProxyRunning(pod)) return passed('the token proxy runs');
  const status = statusOf(pod, proxyContainerName);
  if (at(status, 'state', 'terminated') === undefined && isStarting(status)) return starting(target);
  const why =
    stringAt(status, 'state', 'waiting', 'message') ??
    stringAt(status, 'state', 'waiting', 'reason') ??
    stringAt(status, 'lastState', 'terminated', 'message')?.trim() ??
    (at(status, 'state', 'terminated') === undefined ? 'it has not started yet' : 'it has ended');
  return broken('SidecarNotRunning', {
    title: 'token proxy',
    message: `${proxyContainerName} does not run: ${why}`,
    advice: 'See its log, and the Events of the pod.',
    command: logsOf(target, proxyContainerName),
  });
}

const statusOf = (pod: unknown, name: string) => partsOf(pod, 'status').find((status) => status.name === name);
