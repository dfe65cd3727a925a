import { binding as bindingOf, identity as identityOf, pod as podOf } from '../../../lib/identities/testing/fixtures.ts';
import { fakeInformers } from '../../../lib/identities/testing/informers.ts';
import { row } from '../table.ts';
import { names } from './cluster.ts';

/** Matching alone, without an API server. */
export function matching(podCount: number, bindingCount: number): void {
  const informers = fakeInformers();
  const selectors = names(bindingCount, 'selector');
  for (const [index, selector] of selectors.entries()) {
    informers.identities.put(`app/i-${index}`, identityOf(`app/i-${index}`));
    informers.bindings.put(`app/b-${index}`, bindingOf(`app/b-${index}`, `i-${index}`, selector));
  }
  for (const [index, name] of names(podCount, 'pod').entries())
    informers.pods.put(`app/${name}`, podOf({ key: `app/${name}`, name, uid: name, selector: selectors[index % bindingCount] ?? '' }));

  const began = performance.now();
  let matches = 0;
  for (const pod of informers.pods.values()) matches += informers.matches.matchesOf(pod).length;
  row(`matching ${matches} pods, ${bindingCount} bindings from scratch`, performance.now() - began, 'ms', { atMost: 1_000 });

  let touched = 0;
  const off = informers.matches.onChange((key) => {
    const pod = informers.pods.get(key);
    if (pod !== undefined) touched += informers.matches.matchesOf(pod).length;
  });
  const changed = performance.now();
  informers.bindings.put('app/b-0', bindingOf('app/b-0', 'i-1', selectors[0] ?? ''));
  row(`one binding change, ${touched} pods touched`, performance.now() - changed, 'ms', { atMost: 5 });
  off();
}
