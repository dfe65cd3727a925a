// The commands that publish what a release made. People run them, since only they may write to the registry.

export interface Published {
  registry: string;
  version: string;
  /** Name, OCI archive and digest of each image. */
  images: readonly { name: string; file: string; digest: string }[];
  /** File of the packaged chart. */
  chart: string;
}

/** Push the images, push the chart, sign the images, verify the signatures. */
export function publishCommands({ registry, version, images, chart }: Published): string[] {
  const signed = images.map(({ name, digest }) => `${registry}/${name}@${digest}`).join(' ');
  return [
    ...images.map(({ name, file }) => `skopeo copy --all --preserve-digests oci-archive:${file} docker://${registry}/${name}:${version}`),
    `helm push ${chart} oci://${registry}`,
    `cosign sign --key cosign.key ${signed}`,
    `cosign verify --key cosign.pub ${signed}`,
  ];
}
