// `npm run bench -- [name]`: measures side by side and prints tables with ratios; nothing here passes or fails by a time.
const benches: Record<string, () => Promise<unknown>> = {
  webhook: () => import('./webhook.ts'),
  sidecar: () => import('./sidecar.ts'),
  controller: () => import('./controller.ts'),
  federated: () => import('./federated.ts'),
  soak: () => import('./soak.ts'),
};

const names = process.argv.slice(2);
const unknown = names.find((name) => !(name in benches));
if (unknown !== undefined) {
  console.error(`unknown bench ${unknown}: accepted is ${Object.keys(benches).join(', ')} or nothing for all`);
  process.exit(2);
}
for (const name of names.length > 0 ? names : Object.keys(benches)) {
  console.log(`\n=== ${name}`);
  await benches[name]?.();
}
