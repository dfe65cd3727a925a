// `npm run image`: the bundles, and the images made of them.
import { currentImages } from './images.ts';
import { MissingRequirements, missingForImages } from './requirements.ts';

const log = (line: string) => console.error(line);

async function main(): Promise<void> {
  const missing = missingForImages();
  if (missing.length > 0) throw new MissingRequirements('building images', missing);
  for (const { reference, archive } of Object.values(await currentImages(log))) console.log(`${reference}\n  ${archive}`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
