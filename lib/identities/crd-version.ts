import { stringAt } from '../../common/records.ts';

/** Of the chart that the CRD is from; undefined for those of aad-pod-identity and of 0.1. */
export const crdVersion = (crd: unknown): string | undefined => stringAt(crd, 'metadata', 'labels', 'app.kubernetes.io/version');

/** Numbers decide; a version without them is older. */
export function isOlder(version: string | undefined, than: string): boolean {
  const parts = (text: string) => (/^\d+\.\d+\.\d+/.exec(text)?.[0] ?? '').split('.').map(Number);
  const [a, b] = [parts(version ?? ''), parts(than)];
  const differs = b.findIndex((part, index) => a[index] !== part);
  return differs !== -1 && (a[differs] ?? -1) < (b[differs] ?? 0);
}
