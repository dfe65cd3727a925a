import { parseOptions, SettingsError } from '../../common/options.ts';
import type { Access } from '../access.ts';
import { withAccess } from '../access.ts';
import { readIssuer, readMigrationObjects } from '../cluster/migration-objects.ts';
import { joinRepeated, migrateOptions } from '../command-line.ts';
import type { Problem } from '../finding.ts';
import { firstBroken } from '../finding.ts';
import { changedObjects, objectsText } from '../migrate/changed-objects.ts';
import { unknownIssuer } from '../migrate/federation.ts';
import { readFiles } from '../migrate/files.ts';
import { inputOf } from '../migrate/input.ts';
import type { MigrationReport } from '../migrate/report.ts';
import { migrationReport } from '../migrate/report.ts';
import { valuesText } from '../migrate/values.ts';
import { migrationText } from '../output/migration-text.ts';
import { styleFor } from '../output/style.ts';
import type { Terminal } from '../terminal.ts';
import type { Command } from './command.ts';

export const migrate: Command = {
  usage: 'migrate',
  summary: 'reports how to move from aad-pod-identity, and changes nothing',
  rights: [
    'list azureidentities, azureidentitybindings and azurepodidentityexceptions in all namespaces',
    'list namespaces, pods, deployments, statefulsets, daemonsets, jobs and cronjobs in all namespaces',
    'get clusterroles, and with --federate /.well-known/openid-configuration',
    'none for manifests of files (--filename)',
  ],
  options: migrateOptions,
  async run([unexpected], flags, terminal) {
    if (unexpected !== undefined) throw new SettingsError(`unknown argument ${unexpected}: accepted are flags, see migrate --help`);
    const values = parseOptions(migrateOptions, joinRepeated(flags, '--filename'));
    const source =
      values.filename.length > 0 ? await ofFiles(values) : await withAccess(values, (access) => ofCluster(access, values.federate));
    const { federate, manageCredentials, output } = values;
    const releaseNamespace = values.releaseNamespace ?? 'aad-pod-identity';
    const input = inputOf(source.objects, source.namespace);
    const report = migrationReport(input, {
      reading: source.problems,
      releaseNamespace,
      federate: federate ? { manageCredentials, issuer: values.issuer ?? source.issuer ?? unknownIssuer, releaseNamespace } : undefined,
    });
    if (output === 'yaml') terminal.write(objectsText(changedObjects(input, { federate })));
    else if (output === 'values') terminal.write(valuesText(report.values));
    else print(report, values, terminal);
    return firstBroken(report.sections) === undefined && !report.incomplete ? 0 : 1;
  },
};

interface Source {
  objects: readonly unknown[];
  problems: readonly Problem[];
  /** Of objects that name none. */
  namespace: string;
  issuer: string | undefined;
}

async function ofFiles({ filename, namespace }: { filename: readonly string[]; namespace: string | undefined }): Promise<Source> {
  return { ...(await readFiles(filename, process.stdin)), namespace: namespace ?? 'default', issuer: undefined };
}

async function ofCluster({ reader, namespace }: Access, federate: boolean): Promise<Source> {
  const [found, issuer] = await Promise.all([readMigrationObjects(reader), federate ? readIssuer(reader) : undefined]);
  return { ...found, namespace, issuer };
}

function print(
  report: MigrationReport,
  { output, color }: { output: string; color: 'auto' | 'always' | 'never' },
  terminal: Terminal,
): void {
  const firstCode = firstBroken(report.sections)?.code ?? null;
  terminal.write(
    output === 'json'
      ? `${JSON.stringify({ firstBroken: firstCode, ...report }, null, 2)}\n`
      : migrationText(report, styleFor(color, terminal)),
  );
}
