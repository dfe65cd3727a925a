// The random word that distinguishes the proxy from any other listener: init asks for it through the redirect, `wait` only for its presence.

export const noncePath = '/nonce';

/** 128 random bits in hexadecimal. */
export const createNonce = (): string => crypto.randomUUID().replaceAll('-', '');

export const isNonce = (text: string): boolean => /^[0-9a-f]{32}$/.test(text);
