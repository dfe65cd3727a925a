// What the broker refuses so that one caller leaves enough for the others (docs/adr/0025-fair-budgets-of-the-broker.md).

/** Label of the metric that counts what a limit refused or ended. */
export type BrokerLimit = 'connections' | 'lookups' | 'polls' | 'reviews' | 'verifications';
