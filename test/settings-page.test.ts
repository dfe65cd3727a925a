// docs/settings.md lists every setting of every program. UPDATE_GOLDENS=1 writes the list anew.
import { describe, it } from 'node:test';
import { settings as brokerSettings } from '../broker/settings.ts';
import type { Option, Options } from '../common/options.ts';
import { flagOf } from '../common/options.ts';
import { settings as controllerSettings } from '../controller/settings.ts';
import { settings as uninstallSettings } from '../controller/uninstall/settings.ts';
import { chartValueOf } from '../lib/chart-values.ts';
import { variableOf } from '../lib/settings.ts';
import { hostOptions, initOptions, proxyOptions, tryTokenOptions, waitOptions } from '../sidecar/settings.ts';
import { settings as webhookSettings } from '../webhook/settings.ts';
import { assertSection, code, tableSection } from './generated-section.ts';

const fallbackOf = (option: Option<unknown>): string => {
  if (!('fallback' in option)) return 'required';
  const { fallback } = option;
  const shown = Array.isArray(fallback) ? fallback.join(',') : String(fallback ?? '');
  return shown === '' ? 'none' : code(shown);
};

/** A value that depends on another one, such as a choice of two, is a text with several names. */
const codes = (values: string | undefined): string =>
  values === undefined ? 'set by the chart' : values.split(' or ').map(code).join(' or ');

function programSection(program: string, options: Options): string {
  const rows = Object.entries(options).map(([name, option]) => [
    code(flagOf(name)),
    codes(chartValueOf(program, name)),
    option.form,
    fallbackOf(option),
    option.description,
  ]);
  return tableSection(`### ${program}`, ['flag', 'chart value', 'accepts', 'default', 'meaning'], rows);
}

function commandSection(heading: string, options: Options): string {
  const rows = Object.entries(options).map(([name, option]) => [code(flagOf(name)), option.form, fallbackOf(option), option.description]);
  return tableSection(`### ${heading}`, ['flag', 'accepts', 'default', 'meaning'], rows);
}

describe('docs/settings.md', () => {
  it('lists every setting of controller, broker and webhook with its chart value', () => {
    const programs = { controller: controllerSettings, broker: brokerSettings, webhook: webhookSettings };
    const sections = Object.entries<Options>(programs).map(([program, options]) => programSection(program, options));
    assertSection('settings.md', 'programs', `${sections.join('')}\n`);
  });

  it('names the variable of a setting by the rule of the programs', () => {
    assertSection('settings.md', 'variable', `\`${flagOf('clientQps')}\` is \`${variableOf('clientQps')}\`\n`);
  });

  it('lists every flag of the sidecar and of the uninstall', () => {
    const sections = [
      commandSection('sidecar init', initOptions),
      commandSection('sidecar proxy', proxyOptions),
      commandSection('sidecar host', hostOptions),
      commandSection('sidecar wait and sidecar status', waitOptions),
      commandSection('sidecar try-token', tryTokenOptions),
      commandSection('controller uninstall', uninstallSettings),
    ];
    assertSection('settings.md', 'commands', `${sections.join('')}\n`);
  });
});
