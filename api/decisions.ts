// The decisions of the webhook about a pod and their reasons: one list for its warnings, audit annotations, metrics and log, and for the controller.

export type Decision = 'inject' | 'skip' | 'deny';

interface Reason {
  decision: Decision;
  /** One line for the person who created the pod: what it means, then what to do. */
  text: string;
}

export const reasons = {
  injected: { decision: 'inject', text: 'token proxy injected' },

  mirror_pod: { decision: 'skip', text: 'static pods run before the API server knows them and cannot be injected: use a DaemonSet' },
  no_selector: { decision: 'skip', text: 'the label aadpodidbinding is empty: give it the selector of an AzureIdentityBinding' },
  opted_out: { decision: 'skip', text: 'injection is switched off by the inject annotation: token requests go to IMDS as from the node' },
  excepted: { decision: 'skip', text: 'excepted from injection: token requests go to IMDS as from the node' },
  windows: { decision: 'skip', text: 'Windows pods cannot be injected: token requests go to IMDS as from the node' },
  host_network: { decision: 'skip', text: 'pods with hostNetwork are not injected: token requests go to IMDS as from the node' },

  host_network_refused: { decision: 'deny', text: 'pods with hostNetwork are refused: remove hostNetwork or the label aadpodidbinding' },
  no_containers: { decision: 'deny', text: 'a pod needs at least one container' },
  reserved_name: { decision: 'deny', text: 'names of the injected containers and volumes are reserved: rename yours' },
  reserved_id: { decision: 'deny', text: 'user and group 25790 are reserved for the token proxy: choose another id' },
  port_conflict: { decision: 'deny', text: 'TCP port 2579 is reserved for the token proxy: choose another port' },
  invalid_annotation: { decision: 'deny', text: 'correct or remove the annotation' },
  job_without_native_sidecar: {
    decision: 'deny',
    text: 'a Job would never finish, because this cluster has no native sidecars: upgrade to Kubernetes 1.32 or annotate aadpodidentity.k8s.io/inject=false',
  },
  environment_conflict: {
    decision: 'deny',
    text: 'with interception=none the token endpoint is set by environment variables: remove yours or use interception=redirect',
  },
} as const satisfies Record<string, Reason>;

export type ReasonCode = keyof typeof reasons;
export type ReasonFor<D extends Decision> = { [K in ReasonCode]: (typeof reasons)[K]['decision'] extends D ? K : never }[ReasonCode];

/** The sentence for a person. `detail` names the part of the object that the reason is about. */
export function reasonText(code: ReasonCode, detail?: string): string {
  return detail === undefined ? reasons[code].text : `${detail}: ${reasons[code].text}`;
}
