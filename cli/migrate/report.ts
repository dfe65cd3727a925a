// The report of a move. Pure.
import { issuerProblemOf } from '../../lib/identities/federation/issuer.ts';
import type { Finding, Problem, Section } from '../finding.ts';
import { broken } from '../finding.ts';
import type { FederatedIdentity, FederateOptions } from './federation.ts';
import { federationOf, unknownIssuer } from './federation.ts';
import { migrationSections } from './findings/find.ts';
import type { MigrationInput } from './input.ts';
import type { Step } from './steps.ts';
import { stepsFor } from './steps.ts';
import type { ChartValues } from './values.ts';
import { valuesFor } from './values.ts';

export interface MigrationReport {
  readonly sections: readonly Section[];
  readonly values: ChartValues;
  readonly steps: readonly Step[];
  /** Undefined without --federate. */
  readonly federation: readonly FederatedIdentity[] | undefined;
  /** Something of the cluster could not be read. */
  readonly incomplete: boolean;
}

export interface ReportOptions {
  /** What could not be read. */
  reading: readonly Problem[];
  /** Of our release. */
  releaseNamespace: string;
  /** Undefined without --federate. */
  federate: FederateOptions | undefined;
}

export function migrationReport(input: MigrationInput, { reading, releaseNamespace, federate }: ReportOptions): MigrationReport {
  const issuer = federate === undefined ? [] : issuerFindings(federate.issuer);
  return {
    sections: [...migrationSections(input, reading), ...(issuer.length === 0 ? [] : [{ title: 'Federation', findings: issuer }])],
    values: valuesFor(input),
    steps: stepsFor(input, { releaseNamespace, federate }),
    federation: federate === undefined ? undefined : federationOf(input.identities, federate),
    incomplete: reading.some(({ code }) => code !== 'ManifestSkipped'),
  };
}

function issuerFindings(issuer: string): Finding[] {
  const problem = issuer === unknownIssuer ? undefined : issuerProblemOf(issuer);
  if (problem === undefined) return [];
  return [
    broken('IssuerNotPublic', {
      title: 'issuer',
      message: problem,
      advice: 'Entra must reach the OIDC issuer of the cluster: enable the OIDC issuer of AKS, or publish the keys.',
      command: 'kubectl get --raw /.well-known/openid-configuration',
    }),
  ];
}
