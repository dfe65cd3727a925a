// The command line of `npm run release`.
import type { Values } from '../../common/options.ts';
import { describeOptions, optional, parseOptions, text } from '../../common/options.ts';

/** Without build metadata: a tag of an image cannot hold a plus sign. */
const semanticVersion = /^(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$/;

const options = {
  version: text({
    description: 'what is released: the version of package.json and of the chart',
    form: 'a semantic version without build metadata, such as 1.2.3 or 1.2.3-rc.1',
    pattern: semanticVersion,
  }),
  registry: optional(
    text({
      description: 'where images and chart will be pushed to; only the printed commands and the annotations of the chart name it',
      form: 'a registry with a path, such as registry.example.com/identity',
      pattern: /^[a-z0-9][a-z0-9.-]*(:\d+)?(\/[a-z0-9][a-z0-9._-]*)*$/,
    }),
  ),
  source: optional(
    text({
      description: 'page of the source repository, for the labels of the images and home and sources of the chart',
      form: 'an https URL',
      pattern: /^https:\/\/[^\s/]+(\/\S*)?$/,
    }),
  ),
};

export type ReleaseArguments = Values<typeof options>;

/** Throws SettingsError. */
export const parseArguments = (args: readonly string[]): ReleaseArguments => parseOptions(options, args);

export const usage = `npm run release -- --version VERSION [--registry REGISTRY] [--source URL]

Makes all artefacts of a release in dist/release/VERSION and prints the commands that push them.

${describeOptions(options)}`;
