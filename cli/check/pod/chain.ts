// `check pod`: the links between a pod and its token, in order. The first broken one ends the walk, since the later ones depend on it.
import { podOf } from '../../../lib/identities/pod.ts';
import { matchRulesOf } from '../../cluster/installation.ts';
import type { PodFacts } from '../../cluster/pod-facts.ts';
import type { Finding, Section } from '../../finding.ts';
import { isBroken, skipped } from '../../finding.ts';
import { checkAdmitted } from './admitted.ts';
import { checkAssigned, statusOf } from './assigned.ts';
import { checkBound } from './bound.ts';
import { checkInjected } from './injected.ts';
import { checkLabelled } from './labelled.ts';
import { checkNodeAgent } from './node-agent.ts';
import { checkServed } from './served.ts';
import { checkStarted } from './started.ts';

export function checkPod(facts: PodFacts, now: Date): Section[] {
  const { pod: read, namespace, name } = facts;
  const sections: Section[] = [];
  /** False ends the walk. */
  const add = (title: string, findings: readonly Finding[]): boolean => {
    if (findings.length > 0) sections.push({ title, findings });
    return !findings.some(isBroken);
  };

  if (!add(`Pod ${namespace}/${name}`, [checkAdmitted(facts)]) || !('value' in read)) return sections;
  const raw = read.value;
  if (!add('Label', [checkLabelled(facts, raw)])) return sections;
  const pod = podOf(raw);
  if (pod === undefined) return sections;
  if (!add('Injection', [checkInjected(facts, raw, pod)])) return sections;
  const { findings, matches } = checkBound(facts, pod, matchRulesOf(statusOf(facts)));
  if (!add('Binding and identity', findings)) return sections;
  // Its containers are gone: nobody can ask them, and the controller has released what it had.
  if (pod.finished) {
    add('End', [skipped('the pod has ended, so its containers and its assignments are not looked at')]);
    return sections;
  }
  if (!add('Start', checkStarted(facts, raw))) return sections;
  if (!add('Assignment', checkAssigned(facts, pod, matches, now))) return sections;
  if (!add('Node', checkNodeAgent(facts, raw))) return sections;
  add('Token proxy', checkServed(facts, pod, now));
  return sections;
}
