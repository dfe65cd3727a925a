{{/*
Takes over values of aad-pod-identity's chart: each that is not empty replaces ours with the same meaning, in .Values. Every template that uses one of
these calls it first; a second call changes nothing. docs/migration.md has the table. Argument: the root.
*/}}
{{- define "aad.takeUpstream" -}}
{{- $values := .Values -}}
{{- range $name := list "forceNamespaced" "installMICException" -}}
{{- $_ := set $values $name (eq (toString (get $values $name)) "true") -}}
{{- end -}}
{{- $rbac := $values.rbac -}}
{{- $_ := set $rbac "create" (and (eq (toString $rbac.create) "true") (or (not (hasKey $rbac "enabled")) (eq (toString $rbac.enabled) "true"))) -}}
{{- $_ := set $rbac "allowAccessToSecrets" (eq (toString $rbac.allowAccessToSecrets) "true") -}}
{{- with $values.image.imagePullPolicy -}}
{{- $_ := set $values.image.controlPlane "pullPolicy" . -}}
{{- $_ := set $values.image.sidecar "pullPolicy" . -}}
{{- end -}}
{{- $mic := $values.mic | default dict -}}
{{- $nmi := $values.nmi | default dict -}}
{{- /* MIC is three programs here. Its pod affinity names pods of MIC. */ -}}
{{- $ofMic := merge (dict "affinity" (pick ($mic.affinity | default dict) "nodeAffinity")) (pick $mic "nodeSelector" "tolerations" "priorityClassName") -}}
{{- range $component := list $values.controller $values.broker $values.webhook -}}
{{- include "aad.takePlacement" (dict "from" $ofMic "to" $component) -}}
{{- end -}}
{{- include "aad.takePlacement" (dict "from" (pick $mic "podAnnotations" "podLabels") "to" $values.controller) -}}
{{- include "aad.takePlacement" (dict "from" (pick $nmi "nodeSelector" "tolerations" "affinity" "priorityClassName") "to" $values.nodeEndpoint) -}}
{{- with $mic.replicas -}}
{{- $_ := set $values.controller "replicas" (int .) -}}
{{- end -}}
{{- $admin := $values.adminsecret -}}
{{- if and $mic.cloudConfig (not (or $admin.clientID $admin.clientSecret $admin.existingSecret $admin.workloadIdentity (eq (toString $admin.useMSI) "true"))) -}}
{{- $_ := set $values.controller "cloudConfig" $mic.cloudConfig -}}
{{- end -}}
{{- $cloud := $mic.customCloud | default dict -}}
{{- if eq (toString $cloud.enabled) "true" -}}
{{- $_ := set $values.controller "azureEnvironmentFilepath" ($cloud.configPath | default "/etc/kubernetes/akscustom.json") -}}
{{- end -}}
{{- if eq (toString $nmi.blockInstanceMetadata) "true" -}}
{{- $_ := set $values.sidecar "blockInstanceMetadata" true -}}
{{- end -}}
{{- end }}

{{/* Argument: dict from, to. What is not empty replaces; maps are merged. */}}
{{- define "aad.takePlacement" -}}
{{- $to := .to -}}
{{- range $name, $value := .from -}}
{{- if and $value (kindIs "map" $value) -}}
{{- $_ := set $to $name (mergeOverwrite (get $to $name | default dict | deepCopy) $value) -}}
{{- else if $value -}}
{{- $_ := set $to $name $value -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Values of MIC that the controller reads as MIC did, by its flags. Argument: the root. */}}
{{- define "aad.micArguments" -}}
{{- $mic := .Values.mic | default dict -}}
{{- $flags := dict "v" $mic.logVerbosity "immutable-user-msis" (join "," $mic.immutableUserMSIs) "createDeleteBatch" $mic.createDeleteBatch "clientQps" $mic.clientQps "identity-assignment-reconcile-interval" $mic.identityAssignmentReconcileInterval "leader-election-duration" (get ($mic.leaderElection | default dict) "duration") -}}
{{- range $flag, $value := $flags }}
{{- with $value }}
- {{ printf "-%s=%v" $flag . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Why a value of aad-pod-identity has no effect here, by its path. */}}
{{- define "aad.upstreamWithoutEffect" -}}
nameOverride: the programs know their objects by fixed names
installCRDs: it belongs to charts for Helm 2; helm installs the CRDs unless it is told --skip-crds
forceNameSpaced: aad-pod-identity ignores it since 1.7.2; the value is forceNamespaced
azureIdentity: chart 2.0.0 of aad-pod-identity replaced it; the value is azureIdentities
azureIdentityBinding: chart 2.0.0 of aad-pod-identity replaced it; the value is azureIdentities
image.repository: it names images of aad-pod-identity; ours are image.controlPlane and image.sidecar
adminsecret.subscriptionID: the nodes say where they are
adminsecret.resourceGroup: the nodes say where they are
adminsecret.vmType: the nodes say what they are
mic.image: it names an image of aad-pod-identity; ours is image.controlPlane
mic.tag: it names an image of aad-pod-identity; ours is image.controlPlane
mic.loggingFormat: set logFormat, which counts for all programs
mic.resources: it is the size of another program; the values are controller.resources, broker.resources and webhook.resources
mic.affinity.podAffinity: it names pods of MIC; the value is controller.affinity
mic.affinity.podAntiAffinity: it names pods of MIC; ours are spread over zones and nodes
mic.topologySpreadConstraints: it names pods of MIC; ours are spread over zones and nodes
mic.podDisruptionBudget: each program with more than one replica has one
mic.leaderElection.instance: a replica has the name of its pod
mic.leaderElection.namespace: the Lease is in the release namespace. The controller does not see a MIC with this lock, so end that MIC first
mic.leaderElection.name: the Lease has a fixed name. The controller does not see a MIC with this lock, so end that MIC first
mic.probePort: the port is 8080
mic.prometheusPort: the port is 8888
mic.syncRetryDuration: failures are retried with back-off
mic.updateUserMSIMaxRetry: a refused identity is quarantined and tried again with back-off
mic.updateUserMSIRetryInterval: a refused identity is quarantined and tried again with back-off
nmi.image: it names an image of aad-pod-identity; ours is image.sidecar
nmi.tag: it names an image of aad-pod-identity; ours is image.sidecar
nmi.logVerbosity: the value is sidecar.proxyLogLevel
nmi.loggingFormat: set logFormat, which counts for all programs
nmi.resources: a token proxy in each pod takes the place of NMI; the values are sidecar.proxyMemoryLimit and those beside it
nmi.updateStrategy: no agent runs on nodes, unless nodeEndpoint.enabled
nmi.podAnnotations: no agent runs on nodes; the node endpoint has nodeEndpoint.podAnnotations
nmi.podLabels: no agent runs on nodes; the node endpoint has nodeEndpoint.podLabels
nmi.ipTableUpdateTimeIntervalInSeconds: each pod has packet rules of its own, made before its containers start
nmi.micNamespace: no pod is served by its namespace alone
nmi.probePort: the sidecars open no port on nodes
nmi.retryAttemptsForCreated: a token request waits for its identity up to 45 s
nmi.retryAttemptsForAssigned: a token request waits for its identity up to 45 s
nmi.findIdentityRetryIntervalInSeconds: the broker tells the sidecar at once
nmi.enableScaleFeatures: each sidecar gets the identities of its own pod only
nmi.prometheusPort: the sidecars open no port unless the value sidecar.proxyMetricsPort says so
nmi.metadataHeaderRequired: the header Metadata is always required
nmi.allowNetworkPluginKubenet: nothing depends on the network plugin, since no pod is known by its address
nmi.kubeletConfig: nothing depends on the network plugin, since no pod is known by its address
nmi.setRetryAfterHeader: every 429 and 503 has the header Retry-After
nmi.enableConntrackDeletion: the packet rules are there before the pod has a connection
rbac.pspEnabled: Kubernetes 1.25 removed PodSecurityPolicies
{{- end }}

{{/* A line for each value that is given and has no effect. Values that name what always happens are told where they are false. Argument: the root. */}}
{{- define "aad.upstreamNotes" -}}
{{- $values := .Values -}}
{{- $reasons := include "aad.upstreamWithoutEffect" . | fromYaml -}}
{{- if not $values.nodeEndpoint.enabled -}}
{{- range $name := list "nodeSelector" "tolerations" "affinity" "priorityClassName" -}}
{{- $_ := set $reasons (printf "nmi.%s" $name) "it places the node endpoint, which is off: nodeEndpoint.enabled" -}}
{{- end -}}
{{- end -}}
{{- range $path, $reason := $reasons -}}
{{- $value := $values -}}
{{- range splitList "." $path -}}
{{- $value = get (ternary $value dict (kindIs "map" $value)) . -}}
{{- end -}}
{{- $given := not (has (toString $value) (list "" "<nil>" "false" "map[]" "[]")) -}}
{{- if has $path (list "nmi.metadataHeaderRequired" "nmi.enableScaleFeatures") -}}
{{- $given = eq (toString $value) "false" -}}
{{- end -}}
{{- if $given }}
  {{ $path }}: {{ $reason }}.
{{- end -}}
{{- end -}}
{{- end }}

{{/*
Who has the ClusterRoles for users: create, existing or none. A file of aad-pod-identity says create, also while its release has them. lookup finds
nothing in `helm template`. Argument: the root.
*/}}
{{- define "aad.userRoles" -}}
{{- $mode := .Values.rbac.userFacingClusterRoles -}}
{{- $name := printf "%s-view" (include "aad.userRolePrefix" .) -}}
{{- $present := lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" $name | default dict -}}
{{- $owner := dig "metadata" "annotations" dict $present | default dict -}}
{{- $release := get $owner "meta.helm.sh/release-name" -}}
{{- $namespace := get $owner "meta.helm.sh/release-namespace" -}}
{{- $foreign := and $present (or (ne $release .Release.Name) (ne $namespace .Release.Namespace)) -}}
{{- if and $foreign (eq $mode "create") -}}
{{- fail (printf "ClusterRole %s exists already, of release %q in namespace %q: set rbac.userFacingClusterRoles=existing while it does, and create after that" $name $release $namespace) -}}
{{- end -}}
{{- if and (eq $mode "none") (eq (toString .Values.rbac.createUserFacingClusterRoles) "true") -}}
{{- $mode = ternary "existing" "create" (not (not $foreign)) -}}
{{- end -}}
{{ $mode }}
{{- end -}}

{{/* How the names of the ClusterRoles for users begin. Argument: the root. */}}
{{- define "aad.userRolePrefix" -}}
{{ .Values.fullnameOverride | default "aad-pod-identity" }}
{{- end -}}
