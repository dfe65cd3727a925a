import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { broken, passed, unknown } from '../finding.ts';
import type { MigrationReport } from '../migrate/report.ts';
import { migrationText } from './migration-text.ts';
import { plain } from './style.ts';

const details = { title: 'Deployment a/b', message: 'it breaks', advice: 'Mend it.', command: 'kubectl get x' };
const report: MigrationReport = {
  sections: [{ title: 'Pods', findings: [passed('stay'), broken('PodSecurity', details)] }],
  values: { forceNamespaced: true },
  steps: [{ title: '1. Install', commands: ['helm install'], note: 'Soon.' }],
  federation: [{ identity: 'a/b', code: 'NotFederable', message: 'it is of type 1' }],
  incomplete: false,
};

describe('migrationText', () => {
  it('shows findings with advice, values, and steps with commands', () =>
    assert.equal(
      migrationText(report, plain),
      `Pods
  [ok]      stay
  [broken]  Deployment a/b: it breaks [PodSecurity]
      Mend it.
      $ kubectl get x

Values
  # Add the images, and what signs in to Azure where it is not here: docs/migration.md#values-of-the-chart.
  forceNamespaced: true

Federation
  a/b: it is of type 1 [NotFederable]

1. Install
  Soon.
  $ helm install

1 thing would break: see [broken] above.
  Codes, details and the way back: docs/migration.md
`,
    ));

  it('lets no text of an object steer the terminal', () => {
    const message = 'resource id \u001b[2Jx';
    const sections = [{ title: 'Pods', findings: [broken('PodSecurity', { ...details, message })] }];
    const text = migrationText({ ...report, sections, federation: [{ identity: 'a/b', code: 'NotFederable', message }] }, plain);
    assert.ok(!text.includes('\u001b'));
    assert.equal(text.split('\\u001b[2J').length, 3);
  });

  it('says where it is incomplete, and promises no more than was read', () => {
    const sections = [{ title: 'Read', findings: [unknown('RightMissing', details)] }];
    assert.match(migrationText({ ...report, sections, incomplete: true }, plain), /incomplete\. Nothing that was read would break\.\n/);
  });
});
