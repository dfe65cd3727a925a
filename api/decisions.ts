// The decisions of the webhook about a pod and their reasons: one list for its warnings, audit annotations, metrics and log, and for the controller.

export type Decision = 'inject' | 'guard' | 'skip' | 'deny';

interface Reason {
  decision: Decision;
  /** One line for the person who created the pod: what it means, then what to do. */
  text: string;
}

export const reasons = {
  injected: { decision: 'inject', text: 'token proxy injected' },

  guarded: { decision: 'guard', text: 'this namespace is guarded: requests to IMDS are rejected' },
  guarded_no_selector: {
    decision: 'guard',
    text: 'the label aadpodidbinding is empty and this namespace is guarded, so requests to IMDS are rejected: give it the selector of an AzureIdentityBinding',
  },
  guarded_opted_out: {
    decision: 'guard',
    text: 'injection is switched off by the inject annotation and this namespace is guarded: requests to IMDS are rejected',
  },

  mirror_pod: { decision: 'skip', text: 'static pods run before the API server knows them and cannot be injected: use a DaemonSet' },
  no_selector: { decision: 'skip', text: 'the label aadpodidbinding is empty: give it the selector of an AzureIdentityBinding' },
  opted_out: { decision: 'skip', text: 'injection is switched off by the inject annotation: token requests go to IMDS as from the node' },
  excepted: { decision: 'skip', text: 'excepted from injection: token requests go to IMDS as from the node' },
  windows: { decision: 'skip', text: 'Windows pods cannot be injected: token requests go to IMDS as from the node' },
  host_network: { decision: 'skip', text: 'pods with hostNetwork are not injected: token requests go to IMDS as from the node' },

  host_network_refused: { decision: 'deny', text: 'pods with hostNetwork are refused: remove hostNetwork or the label aadpodidbinding' },
  no_containers: { decision: 'deny', text: 'a pod needs at least one container' },
  reserved_name: { decision: 'deny', text: 'names of the injected containers and volumes are reserved: rename yours' },
  reserved_mount: {
    decision: 'deny',
    text: 'only the injected containers may mount their volumes: remove the mount, and ask the token proxy for tokens',
  },
  reserved_id: { decision: 'deny', text: 'user and group 25790 are reserved for the token proxy: choose another id' },
  port_conflict: { decision: 'deny', text: 'TCP port 2579 is reserved for the token proxy: choose another port' },
  invalid_annotation: { decision: 'deny', text: 'correct or remove the annotation' },
  job_without_native_sidecar: {
    decision: 'deny',
    text: 'a Job would never finish, because the token proxy is no native sidecar here: if all nodes run Kubernetes 1.29 or later, set nativeSidecar: always below sidecar in the chart values; else annotate aadpodidentity.k8s.io/inject=false',
  },
  environment_conflict: {
    decision: 'deny',
    text: 'with interception=none the token endpoint is set by environment variables: remove yours or use interception=redirect',
  },

  guard_exception: {
    decision: 'deny',
    text: 'this namespace is guarded and does not list the exception: add it to the annotation aadpodidentity.k8s.io/guard-allow of the namespace, or change the labels of the pod',
  },
  guard_host_network: {
    decision: 'deny',
    text: 'this namespace is guarded, and nothing keeps a pod with hostNetwork from IMDS: remove hostNetwork or use another namespace',
  },
  guard_host_pid: {
    decision: 'deny',
    text: 'this namespace is guarded, and a pod with hostPID can act as processes of other pods and of the node: remove hostPID or use another namespace',
  },
  guard_windows: {
    decision: 'deny',
    text: 'this namespace is guarded, and nothing keeps a Windows pod from IMDS: use another namespace',
  },
  guard_pod_security: {
    decision: 'deny',
    text: 'the guard of this namespace needs NET_ADMIN in an init container: enforce privileged, or remove the guard label and use a network policy that denies 169.254.169.254/32 or federated identities',
  },
  guard_powerful_container: {
    decision: 'deny',
    text: 'this namespace is guarded, and the container could pass the guard: remove privileged, NET_ADMIN, NET_RAW, SYS_ADMIN, SYS_MODULE, SYS_PTRACE, BPF and ALL',
  },
  guard_interception_none: {
    decision: 'deny',
    text: 'this namespace is guarded, and interception=none leaves IMDS open to the app: use interception=redirect',
  },
} as const satisfies Record<string, Reason>;

export type ReasonCode = keyof typeof reasons;
export type ReasonFor<D extends Decision> = { [K in ReasonCode]: (typeof reasons)[K]['decision'] extends D ? K : never }[ReasonCode];

/** The sentence for a person. `detail` names the part of the object that the reason is about. */
export function reasonText(code: ReasonCode, detail?: string): string {
  return detail === undefined ? reasons[code].text : `${detail}: ${reasons[code].text}`;
}
