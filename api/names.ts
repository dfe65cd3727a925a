// Names that more than one program, the chart or a user's manifest depends on. A change here changes a contract.

export const apiGroup = 'aadpodidentity.k8s.io';
export const apiVersion = 'v1';

/** The pod label that asks for identities; its value is the selector of the bindings. */
export const bindingLabel = 'aadpodidbinding';

export const annotationPrefix = 'aadpodidentity.k8s.io/';
export const annotations = {
  /** On a pod: `true` or `false`. */
  inject: `${annotationPrefix}inject`,
  /** Written by the webhook on every injected pod: JSON, `InjectionStatus` of api/injection.ts. */
  status: `${annotationPrefix}status`,
  /** On a pod: `name` or `namespace/name` of the identity that answers requests which name none. */
  defaultIdentity: `${annotationPrefix}default-identity`,
  /** On a pod or namespace: `none` switches to environment variables instead of a redirect. */
  interception: `${annotationPrefix}interception`,
  /** On an AzureIdentity: `namespaced` limits it to pods of its own namespace. Upstream's spelling, capital B. */
  behavior: `${annotationPrefix}Behavior`,
  /** On a guarded namespace: names of the AzurePodIdentityExceptions whose pods get no guard, with commas between them. */
  guardAllow: `${annotationPrefix}guard-allow`,
  /** On an AzureIdentity of type 0: `attach` or `federate` (docs/adr/0030-federated-assignment.md). */
  assignment: `${annotationPrefix}assignment`,
  // Added to an AzureAssignedIdentity: docs/adr/0005-annotations-on-azureassignedidentity.md.
  podUid: `${annotationPrefix}pod-uid`,
  scope: `${annotationPrefix}scope`,
  clientId: `${annotationPrefix}client-id`,
  objectId: `${annotationPrefix}object-id`,
  assignedAt: `${annotationPrefix}assigned-at`,
  reason: `${annotationPrefix}reason`,
  message: `${annotationPrefix}message`,
  retryAt: `${annotationPrefix}retry-at`,
  /** When a sidecar last said that IMDS does not know the identity. */
  reportedAt: `${annotationPrefix}reported-at`,
} as const;

export const initContainerName = 'aad-pod-identity-init';
export const proxyContainerName = 'aad-pod-identity-proxy';
export const tokenVolumeName = 'aad-pod-identity-token';
export const emptyVolumeName = 'aad-pod-identity-empty';

/** On a pod: what the webhook put into it, an `InjectedMarker` of api/injection.ts. Nobody else may write it (docs/adr/0028-admission-policies.md). */
export const injectedLabel = 'aadpodidentity.k8s.io/injected';
/** On a namespace: `enabled` gives every pod without the binding label a guard. */
export const guardLabel = 'aadpodidentity.k8s.io/guard';

/** uid and gid of the proxy; the redirect lets exactly this pair through. */
export const proxyId = 25790;
export const proxyPort = 2579;
/** Container port of a token proxy that serves metrics. Who scrapes them finds the pods by it. */
export const proxyMetricsPortName = 'aad-metrics';
export const imdsAddress = '169.254.169.254';
export const wireServerAddress = '168.63.129.16';

export const natChain = 'aad-metadata';
export const untrackedChain = 'aad-metadata-untracked';
export const nestedChain = 'aad-metadata-nested';
export const guardChain = 'aad-metadata-guard';

/** How the sidecar image starts its program; the same in the Dockerfile's ENTRYPOINT and in injected pods. */
export const sidecarCommand = ['/usr/local/bin/bun', '--smol', '--no-env-file', '/app/sidecar.js'] as const;
/** Where kubelet mounts the bound token in the proxy container. */
export const tokenDirectory = '/var/run/secrets/aad-pod-identity';
export const tokenFile = `${tokenDirectory}/token`;
/** Mounted over in our containers, so that no token for the Kubernetes API reaches them. */
export const apiTokenDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Audience of the bound token that a sidecar shows to the broker. */
export const brokerAudience = 'aad-pod-identity-broker';

/** Of the node endpoint, in the release namespace. */
export const nodeServiceAccountName = 'aad-pod-identity-node';

export const assignedIdentityFinalizer = `azureassignedidentity.finalizers.${apiGroup}`;
/** The only label of an AzureAssignedIdentity, in the spelling of aad-pod-identity. */
export const nodeNameLabel = 'nodename';

export const leaderLeaseName = 'aad-pod-identity-controller';
export const metricPrefix = 'aadpodidentity_';

// The controller creates and renews these in the release namespace, the Secrets only with certificates of its own:
// docs/adr/0016-certificates-in-two-generations.md.
export const caSecretName = 'aad-pod-identity-ca';
export const webhookCertificateSecretName = 'aad-pod-identity-webhook-tls';
export const brokerCertificateSecretName = 'aad-pod-identity-broker-tls';
export const caBundleConfigMapName = 'aad-pod-identity-ca-bundle';
export const caBundleKey = 'ca.crt';
// Beside it: the bundle that it replaced, and when (docs/adr/0034-certificates-of-others.md).
export const replacedBundleKey = 'replaced.crt';
export const replacedAtKey = 'replaced-at';

// Services and the webhook configuration, as the chart names them.
export const webhookServiceName = 'aad-pod-identity-webhook';
export const brokerServiceName = 'aad-pod-identity-broker';
export const controllerServiceAccountName = 'aad-pod-identity-controller';
/** Sorts after other mutating webhooks, so that ours sees their containers and takes index 0. */
export const webhookConfigurationName = 'zz-aad-pod-identity-webhook';

/** Pod of `helm test`, in the release namespace. */
export const testPodName = 'aad-pod-identity-test';

/** ConfigMap by which an uninstall asks the leader to detach everything: docs/adr/0035-uninstall.md. */
export const uninstallRequestName = 'aad-pod-identity-uninstall';

export const scopeRecordPrefix = 'aad-pod-identity-scope-';
export const federationRecordPrefix = 'aad-pod-identity-federation-';

/** Each program has its own ports for probes and metrics, so that all three can run on one machine with few flags. */
export const ports = {
  controller: { probes: 8080, metrics: 8888 },
  webhook: { admission: 9443, probes: 8081, metrics: 8889 },
  broker: { api: 9443, probes: 8082, metrics: 8890 },
} as const;
