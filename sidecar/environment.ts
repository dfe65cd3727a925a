/** Bun sends its requests through these proxies, which clusters put into pods; IMDS and the broker are always reached directly. */
export function removeProxyVariables(): void {
  for (const name of Object.keys(process.env)) {
    if (/^(https?|all|no)_proxy$/i.test(name)) delete process.env[name];
  }
}
