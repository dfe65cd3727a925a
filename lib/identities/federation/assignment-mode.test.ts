import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { annotations } from '../../../api/names.ts';
import type { Identity } from '../identity.ts';
import { identityOf } from '../identity.ts';
import { assignment, binding, identity, pod } from '../testing/fixtures.ts';
import type { AssignmentModeRules } from './assignment-mode.ts';
import { assignmentModeOf, assignmentProblemOf, isFederated } from './assignment-mode.ts';

const attach: AssignmentModeRules = { assignment: 'attach', assignmentOverrides: [] };
const floor: AssignmentModeRules = { assignment: 'federate', assignmentOverrides: ['legacy'] };

function annotated(key: string, value: string | undefined, type = 0): Identity {
  const { object } = identity(key);
  const made = identityOf({
    metadata: { ...object.metadata, annotations: value === undefined ? {} : { [annotations.assignment]: value } },
    spec: { ...object.spec, type },
  });
  assert.ok(made);
  return made;
}

const cases: [annotation: string | undefined, rules: AssignmentModeRules, namespace: string, mode: string, problem: RegExp | undefined][] =
  [
    [undefined, attach, 'team', 'attach', undefined],
    [undefined, floor, 'team', 'federate', undefined],
    ['federate', attach, 'team', 'federate', undefined],
    ['attach', attach, 'team', 'attach', undefined],
    ['attach', floor, 'team', 'federate', /assignmentOverrides does not have namespace team/],
    ['attach', floor, 'legacy', 'attach', undefined],
    ['Federate', attach, 'team', 'attach', /'Federate': accepted is attach or federate, and attach applies/],
    ['', floor, 'legacy', 'federate', /accepted is attach or federate, and federate applies/],
  ];

describe('assignmentModeOf', () => {
  for (const [annotation, rules, namespace, mode, problem] of cases)
    it(`gives ${mode} for '${annotation}' in namespace ${namespace} where assignment is ${rules.assignment}`, () => {
      const given = annotated(`${namespace}/reader`, annotation);
      assert.equal(assignmentModeOf(given, rules), mode);
      const told = assignmentProblemOf(given, rules);
      if (problem === undefined) assert.equal(told, undefined);
      else assert.match(told ?? '', problem);
    });

  it('gives no mode to types 1 to 3 and to an unknown type', () => {
    for (const type of [1, 2, 3, 4]) {
      assert.equal(assignmentModeOf(annotated('team/sp', 'federate', type), floor), undefined);
      assert.equal(assignmentProblemOf(annotated('team/sp', 'nonsense', type), floor), undefined);
    }
  });
});

describe('isFederated', () => {
  it('goes by the scope of the object, in any case', () => {
    const given = identity('team/reader');
    const id = given.identityId ?? '';
    const written = (scope: string) => {
      const object = assignment(pod(), given, binding('team/b', 'reader'));
      return { metadata: { ...object.metadata, annotations: { [annotations.scope]: scope } } };
    };
    assert.equal(isFederated(written(given.resourceID), id), true);
    assert.equal(isFederated(written('/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm'), id), false);
    assert.equal(isFederated({ metadata: {} }, id), false);
  });
});
