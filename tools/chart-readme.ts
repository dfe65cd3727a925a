// `npm run chart-readme`: writes the README of the chart. A test holds it to values.yaml, values.schema.json and Chart.yaml.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parse } from 'yaml';
import { settings as brokerSettings } from '../broker/settings.ts';
import { stringAt } from '../common/records.ts';
import { settings as controllerSettings } from '../controller/settings.ts';
import { settings as webhookSettings } from '../webhook/settings.ts';
import type { ChartGroup, ProgramSetting } from './chart-values.ts';
import { chartGroups } from './chart-values.ts';

const root = path.resolve(import.meta.dirname, '..');
export const chartFolder = path.join(root, 'charts/aad-pod-identity-webhook');
export const chartReadme = path.join(chartFolder, 'README.md');

/** A setting of a program is the value of the same name in the section of the program, or one of all programs without a section. */
function programSettings(): Map<string, ProgramSetting> {
  const sections = { controller: controllerSettings, broker: brokerSettings, webhook: webhookSettings };
  const own = Object.entries(sections).flatMap(([section, settings]) =>
    Object.entries<ProgramSetting>(settings).map(([name, setting]) => [`${section}.${name}`, setting] as const),
  );
  const injected = Object.entries<ProgramSetting>(webhookSettings).map(([name, setting]) => [`sidecar.${name}`, setting] as const);
  const shared = Object.entries<ProgramSetting>({ ...brokerSettings, ...controllerSettings });
  return new Map([...shared, ...injected, ...own]);
}

/** The page as the sources are now. */
export function renderChartReadme(): string {
  const read = (file: string) => readFileSync(path.join(chartFolder, file), 'utf8');
  const schema: unknown = JSON.parse(read('values.schema.json'));
  const groups = chartGroups({ valuesYaml: read('values.yaml'), schema, programs: programSettings() });
  const about: unknown = parse(read('Chart.yaml'));
  const version = stringAt(about, 'version') ?? '';
  return `# ${stringAt(about, 'name')}

${stringAt(about, 'description')}.

This page is generated from \`values.yaml\` and \`values.schema.json\`: \`npm run chart-readme\` writes it. Paths such as \`docs/guard.md\` are of the
source repository.

## Install

Kubernetes ${stringAt(about, 'kubeVersion')?.replace('-0', '')} is needed. The release needs a namespace of its own, and a cluster has one release.

    helm install webhook oci://REGISTRY/aad-pod-identity-webhook --version ${version} \\
      --namespace aad-pod-identity --create-namespace --values my-values.yaml --wait

The chart names no registry. Set \`image.controlPlane.repository\` and \`image.sidecar.repository\` to where the images are, and say how the controller
signs in to Azure: \`adminsecret\` or \`controller.cloudConfig\`.

## Values

\`values.schema.json\` refuses what is not in this list. An empty default means: not set.

${groups.map(renderGroup).join('\n')}`;
}

function renderGroup({ name, text, values }: ChartGroup): string {
  const heading = name === '' ? '### General' : `### ${name}`;
  const rows = values.map((value) => `| ${[code(value.path), cell(value.type), code(value.fallback), cell(value.text)].join(' | ')} |`);
  const intro = text === '' ? [] : [cell(text), ''];
  return [heading, '', ...intro, '| value | type | default | meaning |', '|---|---|---|---|', ...rows, ''].join('\n');
}

/** Text of a table: a bar would end the cell, and `<id>` would be HTML. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
const code = (text: string): string => (text === '' ? '' : `\`${text.replaceAll('|', '\\|')}\``);

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href)
  writeFileSync(chartReadme, renderChartReadme());
