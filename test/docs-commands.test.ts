// Every command, manifest and values file of README.md and of docs/: what a reader types exists, with these flags and these names. Commands that
// need real Azure are compared with a list that was made by hand (test/docs/az.ts).
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { blocksOf } from './docs/blocks.ts';
import { executedIn } from './docs/executed.ts';
import { checkPage, nothingChecked } from './docs/pages.ts';
import { commandsIn } from './docs/shell.ts';

const root = path.resolve(import.meta.dirname, '..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');
const filesOf = (folder: string, end: string): string[] =>
  readdirSync(path.join(root, folder))
    .filter((name) => name.endsWith(end))
    .map((name) => path.posix.join(folder, name));
const pages = ['README.md', ...filesOf('docs', '.md')];

describe('the pages', () => {
  const executed = filesOf('test/e2e', '.test.ts').flatMap((file) => executedIn(read(file)));

  it('have commands, manifests and values that exist', (t) => {
    const checked = nothingChecked();
    for (const page of pages) checkPage(page, read(page), checked);
    const unchecked = [...checked.unchecked].map(([program, times]) => `${program} (${times})`).join(', ');
    t.diagnostic(`${checked.commands} commands, of which ${checked.azure} need real Azure; ${checked.manifests} manifests`);
    t.diagnostic(
      `sections that a cluster runs: ${new Set(executed.map(({ page, heading }) => page + heading)).size}; not checked: ${unchecked}`,
    );
    assert.deepEqual(checked.problems, []);
  });

  it('have the sections that tests run in a cluster', () => {
    assert.ok(executed.length > 0);
    for (const { page, heading } of executed) {
      const blocks = blocksOf(read(`docs/${page}`)).filter((block) => block.heading === heading && block.language === 'sh');
      assert.ok(blocks.length > 0, `docs/${page} has commands below ${heading}`);
    }
  });
});

describe('checkPage', () => {
  const problemsOf = (page: string): string[] => {
    const checked = nothingChecked();
    checkPage('a.md', page, checked);
    return checked.problems;
  };
  const shell = (...lines: string[]): string => ['```sh', ...lines, '```'].join('\n');
  const yaml = (...lines: string[]): string => ['```yaml', ...lines, '```'].join('\n');

  const wrong: [what: string, page: string, problem: RegExp][] = [
    ['an unknown program', shell('frobnicate --all'), /^a\.md:2 unknown command frobnicate$/],
    ['a program in an indented block', 'Text\n\n    frobnicate', /^a\.md:3 unknown command frobnicate$/],
    ['an unknown flag within a line', 'Then `kubectl get pods --everywhere` shows it.', /^a\.md:1 kubectl get: unknown flag --everywhere$/],
    ['a program behind a pipe', shell('kubectl get pods | frobnicate'), /unknown command frobnicate/],
    ['a program in a substitution', shell('export A="$(frobnicate)"'), /unknown command frobnicate/],
    ['an az command that nobody compared', shell('az vm delete --name a'), /az vm delete: nobody has compared/],
    ['an unknown flag of az', shell('az group show --nmae a'), /az group show: unknown flag --nmae/],
    ['an unknown script', shell('npm run gone'), /npm run gone: no such script/],
    ['an unknown flag of a script', shell('npm run cluster -- up --nmae a'), /npm run cluster: unknown flag --nmae/],
    ['an unknown verb of helm', shell('helm remove webhook'), /helm remove: unknown command/],
    ['an unknown flag of helm', shell('helm uninstall webhook --purge'), /helm uninstall: unknown flag --purge/],
    ['a chart that is not there', shell('helm install a charts/gone'), /no such chart: charts\/gone/],
    ['an unknown value of --set', shell('helm upgrade a CHART --set controller.gone=1'), /additionalProperty":"gone"/],
    ['a wrong value of --set', shell('helm upgrade a CHART --set guard.enabled=maybe'), /\/guard\/enabled/],
    ['an unknown verb of kubectl', shell('kubectl destroy pod a'), /kubectl destroy: unknown command/],
    ['an unknown flag of kubectl', shell('kubectl get pods --everywhere'), /kubectl get: unknown flag --everywhere/],
    ['an unknown resource', shell('kubectl get azureidentityes -A'), /unknown resource azureidentityes/],
    ['an unknown command of the plugin', shell('kubectl aad-pod-identity chekc'), /aad-pod-identity chekc: unknown command/],
    ['an unknown flag of the plugin', shell('kubectl aad-pod-identity check --gone'), /--gone/],
    ['a name that the plugin misses', shell('kubectl aad-pod-identity check pod'), /1 names are expected/],
    ['an open quote', shell("kubectl get 'pods"), /^a\.md:2 ' is not closed$/],
    ['a here-document without an end', shell('kubectl apply -f - <<END', 'a: 1'), /no line END ends/],
    ['YAML that does not parse', yaml('a: [1'), /^a\.md:2 /],
    ['an unknown field of our kinds', yaml('apiVersion: aadpodidentity.k8s.io/v1', 'kind: AzureIdentity', 'spec: { typ: 0 }'), /"typ"/],
    ['an unknown kind of ours', yaml('apiVersion: aadpodidentity.k8s.io/v1', 'kind: AzureIdentities'), /no such kind: AzureIdentities/],
    [
      'a resource id that is none',
      yaml('apiVersion: aadpodidentity.k8s.io/v1', 'kind: AzureIdentity', 'spec: { resourceID: /subscriptions/a }'),
      /no id of an identity: \/subscriptions\/a/,
    ],
    ['an object in a here-document', shell('kubectl apply -f - <<END', 'kind: Pod', 'END'), /an object without apiVersion/],
    ['an unknown value', yaml('controller: { gone: 1 }'), /"gone"/],
    ['YAML that is nothing of these', yaml('gone: 1'), /neither an object nor values/],
    ['a block in a language that nothing reads', '```cobol\nx\n```', /a block in "cobol"/],
  ];
  for (const [what, page, problem] of wrong)
    it(`reports ${what}`, () => {
      const problems = problemsOf(page);
      assert.equal(problems.length, 1, JSON.stringify(problems));
      assert.match(problems[0] ?? '', problem);
    });

  it('accepts placeholders, variables, loops and partial manifests', () => {
    const page = [
      shell(
        'export A=$(az account show --query tenantId --output tsv) # a comment',
        'for image in a b; do',
        '  docker push "$A/$image"',
        'done',
        'MODE=1 npm test',
        'kubectl get pods -A -l aadpodidbinding -o \'jsonpath={.items[0]}\' > "file name"',
        'kubectl create secret generic a \\',
        '  --from-file=b',
        'az identity show --ids <resource id of it>',
      ),
      'Where `kubectl describe` and `helm uninstall --timeout` differ from `helm`.',
      yaml('metadata:', '  labels: { aadpodidbinding: a }'),
    ].join('\n');
    assert.deepEqual(problemsOf(page), []);
  });
});

describe('commandsIn', () => {
  it('finds words, lines and here-documents as a shell does', () => {
    const text = "cat > a.yaml <<END\na: $B\nEND\na 'b c' \\\n  \"d'$(e f)\" && g # h\n";
    assert.deepEqual(commandsIn(text), [
      { line: 0, words: ['cat'], input: 'a: $B' },
      { line: 4, words: ['e', 'f'] },
      { line: 3, words: ['a', 'b c', "d'$(e f)"] },
      { line: 4, words: ['g'] },
    ]);
  });
});
