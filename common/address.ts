export interface Address {
  /** A name, an IPv4 address or an IPv6 address without its brackets. Empty for `:port`. */
  host: string;
  port: number;
}

/** Reads `host:port`, `[IPv6]:port` or `:port`; undefined for anything else. */
export function parseAddress(text: string): Address | undefined {
  const [, bracketed, plain = '', digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]*)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  return port <= 65_535 ? { host: bracketed ?? plain, port } : undefined;
}
