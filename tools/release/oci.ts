// An OCI image layout with one image for each platform, and one index that names them.
// https://github.com/opencontainers/image-spec/blob/main/image-layout.md
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { isRecord, stringAt } from '../../common/records.ts';

export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
}

/** Annotations or labels. */
export type Labels = Readonly<Record<string, string>>;

export const manifestType = 'application/vnd.oci.image.manifest.v1+json';
const indexType = 'application/vnd.oci.image.index.v1+json';

/** The index of the images: architecture and manifest of each, in the order of `images`. */
export function imageIndex(images: ReadonlyMap<string, Descriptor>, annotations: Labels): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: indexType,
    manifests: [...images].map(([architecture, { mediaType, digest, size }]) => ({
      mediaType,
      digest,
      size,
      platform: { architecture, os: 'linux' },
    })),
    annotations,
  });
}

export const descriptorOf = (mediaType: string, content: string): Descriptor => ({
  mediaType,
  digest: `sha256:${createHash('sha256').update(content).digest('hex')}`,
  size: Buffer.byteLength(content),
});

const blob = (layout: string, digest: string): string => path.join(layout, 'blobs', ...digest.split(':'));

/** Makes `index` the one image of a layout that holds the images already. Returns its digest. */
export function writeIndex(layout: string, index: string, tag: string): string {
  const descriptor = descriptorOf(indexType, index);
  mkdirSync(path.dirname(blob(layout, descriptor.digest)), { recursive: true });
  writeFileSync(blob(layout, descriptor.digest), index);
  const entry = { ...descriptor, annotations: { 'org.opencontainers.image.ref.name': tag } };
  writeFileSync(path.join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests: [entry] }));
  writeFileSync(path.join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  return descriptor.digest;
}

/** The manifest that the layout has under a tag. */
export function manifestAt(layout: string, tag: string): Descriptor {
  const index: unknown = JSON.parse(readFileSync(path.join(layout, 'index.json'), 'utf8'));
  const manifests: unknown = isRecord(index) ? index.manifests : undefined;
  const found = (Array.isArray(manifests) ? manifests : []).find(
    (one: unknown) => stringAt(one, 'annotations', 'org.opencontainers.image.ref.name') === tag,
  ) as Descriptor | undefined;
  if (found === undefined) throw new Error(`the image layout has no ${tag}`);
  return { mediaType: found.mediaType, digest: found.digest, size: found.size };
}

/** Files of the layers of a manifest, the lowest first, and their compressed size. */
export function layersOf(layout: string, manifest: Descriptor): { files: string[]; bytes: number } {
  const { layers } = JSON.parse(readFileSync(blob(layout, manifest.digest), 'utf8')) as { layers: Descriptor[] };
  return { files: layers.map(({ digest }) => blob(layout, digest)), bytes: layers.reduce((sum, { size }) => sum + size, 0) };
}
