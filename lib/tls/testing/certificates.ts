// For tests: certificates of a CA made for the test, and a serving certificate that the test sets by hand.
import { randomBytes } from 'node:crypto';
import { generateKey, issueAuthority, issueLeaf } from '../issue.ts';
import type { CheckedKeyPair, KeyPair } from '../key-pair.ts';
import { parseKeyPair } from '../key-pair.ts';
import type { ServingCertificate } from '../serving-certificate.ts';

export interface TestAuthority extends KeyPair {
  issue(...dnsNames: string[]): Promise<CheckedKeyPair>;
}

export async function createTestAuthority(): Promise<TestAuthority> {
  const context = async () => ({ now: new Date(), key: await generateKey(), serial: randomBytes(16) });
  const authority = issueAuthority(await context());
  return { ...authority, issue: async (...dnsNames) => check(issueLeaf(authority, dnsNames, await context())) };
}

const check = ({ certificate, key }: KeyPair): CheckedKeyPair => parseKeyPair({ 'tls.crt': certificate, 'tls.key': key });

interface Values {
  keyPair: CheckedKeyPair | undefined;
  caBundle: string | undefined;
}

export interface FakeServingCertificate extends ServingCertificate {
  set(changes: Partial<Values>): void;
}

export function fakeServingCertificate(values: Partial<Values> = {}): FakeServingCertificate {
  const current: Values = { keyPair: undefined, caBundle: undefined, ...values };
  const listeners = new Set<() => void>();
  return {
    get keyPair() {
      return current.keyPair;
    },
    get caBundle() {
      return current.caBundle;
    },
    synced: true,
    problem: undefined,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    stop: async () => undefined,
    set(changes) {
      Object.assign(current, changes);
      for (const listener of listeners) listener();
    },
  };
}
