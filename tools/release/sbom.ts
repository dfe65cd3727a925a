// What is in an image for one platform, as CycloneDX 1.5: our bundles' packages and the runtime as npm describes them, and the packages of Debian.
import { isRecord, stringAt } from '../../common/records.ts';

export interface SbomOptions {
  name: string;
  version: string;
  architecture: string;
  /** Of the image. */
  digest: string;
  /** Seconds since 1970. */
  time: number;
  /** What `npm sbom` prints. */
  npmSbom: unknown;
  /** Names of the packages of npm that the image holds. A bundle may hold several versions of one. */
  npmPackages: ReadonlySet<string>;
  /** Records of Debian packages, one after the other. */
  debianPackages: string;
}

export function imageSbom(options: SbomOptions): string {
  const { name, version, architecture, digest, time } = options;
  const components = [...npmComponents(options), ...debianComponents(options.debianPackages)];
  const reference = `pkg:oci/${name}@${encodeURIComponent(digest)}?arch=${architecture}`;
  const bom = {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      timestamp: new Date(time * 1000).toISOString(),
      component: { 'bom-ref': reference, type: 'container', name, version, purl: reference },
    },
    components,
    dependencies: [{ ref: reference, dependsOn: components.map((component) => component['bom-ref']) }],
  };
  return `${JSON.stringify(bom, undefined, 2)}\n`;
}

type Component = Record<string, unknown> & { 'bom-ref': string };

function npmComponents({ npmSbom, npmPackages }: SbomOptions): Component[] {
  const all: unknown = isRecord(npmSbom) ? npmSbom.components : undefined;
  const components = (Array.isArray(all) ? all : []).filter(
    (one: unknown): one is Component => npmPackages.has(stringAt(one, 'name') ?? '') && stringAt(one, 'bom-ref') !== undefined,
  );
  const missing = [...npmPackages].filter((name) => !components.some((component) => component.name === name));
  if (missing.length > 0) throw new Error(`npm sbom does not name ${missing.join(', ')}, which an image holds`);
  return components;
}

function debianComponents(records: string): Component[] {
  return records
    .split(/^(?=Package: )/m)
    .filter((record) => record.startsWith('Package: '))
    .map((record) => {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(record)?.[1] ?? '';
      const [name, version] = [field('Package'), field('Version')];
      const purl = `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${field('Architecture')}`;
      return { 'bom-ref': purl, type: 'library', name, version, purl };
    });
}
