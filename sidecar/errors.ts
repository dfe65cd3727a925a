export type CommandErrorCode =
  | 'host_network'
  | 'iptables_missing'
  | 'iptables_failed'
  | 'legacy_tables_in_use'
  | 'rules_not_in_place'
  | 'port_in_use'
  | 'redirect_not_effective'
  | 'denial_not_effective'
  | 'listen_failed'
  | 'ca_unreadable'
  | 'proxy_not_ready'
  | 'status_unavailable'
  | 'token_refused';

/** A command cannot do its work. Its message is the only line that is printed, and the exit code is 1. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly code: CommandErrorCode;

  constructor(code: CommandErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
