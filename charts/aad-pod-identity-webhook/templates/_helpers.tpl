{{/* Labels of every object. Argument: dict root, component. */}}
{{- define "aad.labels" -}}
{{ include "aad.selector" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* Labels that select the pods of a component. They never change, since the selector of a Deployment cannot. */}}
{{- define "aad.selector" -}}
app.kubernetes.io/name: aad-pod-identity-webhook
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Image reference. Argument: dict root, image. */}}
{{- define "aad.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* Settings as variables: camelCase becomes UPPER_SNAKE, lists are joined by commas. An empty one keeps the default of the program. Argument: a map. */}}
{{- define "aad.settings" -}}
{{- range $name, $value := . }}
{{- if not (or (kindIs "invalid" $value) (and (kindIs "string" $value) (eq $value "")) (and (kindIs "slice" $value) (empty $value))) }}
- name: {{ $name | snakecase | upper }}
  {{- if kindIs "slice" $value }}
  value: {{ join "," $value | quote }}
  {{- else if kindIs "float64" $value }}
  value: {{ int64 $value | toString | quote }}
  {{- else }}
  value: {{ toString $value | quote }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
What the webhook injects, as a hash: the controller counts the pods that got something else. What other webhooks may change is no part of it.
Argument: the root.
*/}}
{{- define "aad.sidecarSettingsHash" -}}
{{- $image := .Values.image.sidecar -}}
{{- $settings := include "aad.settings" (omit .Values.sidecar "allowedEnv") -}}
- name: SIDECAR_SETTINGS_HASH
  value: {{ printf "%s %s %s" (include "aad.image" (dict "root" . "image" $image)) $image.pullPolicy $settings | sha256sum | trunc 16 | quote }}
{{- end }}

{{/* How identities are assigned, which controller and broker must agree on. Argument: the root. */}}
{{- define "aad.assignment" -}}
{{- include "aad.settings" (dict "assignment" .Values.assignment "assignmentOverrides" .Values.assignmentOverrides "federationAudience" .Values.federation.audience) }}
{{- end }}

{{/* identityPolicy as a variable: JSON. Absent is not the same as empty, which refuses every identity. Argument: the root. */}}
{{- define "aad.identityPolicy" -}}
{{- if not (kindIs "invalid" .Values.identityPolicy) }}
- name: IDENTITY_POLICY
  value: {{ toJson .Values.identityPolicy | quote }}
{{- end }}
{{- end }}

{{/* Not empty where identityPolicy selects namespaces by their labels. Argument: the root. */}}
{{- define "aad.selectsNamespaces" -}}
{{- range .Values.identityPolicy }}
{{- if kindIs "map" .namespaces }}x{{ end }}
{{- end }}
{{- end }}

{{/* Rule of a ClusterRole for what identityPolicy needs. Argument: the root. */}}
{{- define "aad.namespacesRule" -}}
{{- if include "aad.selectsNamespaces" . | trim }}
# identityPolicy selects namespaces by their labels.
- apiGroups: ['']
  resources: [namespaces]
  verbs: [get, list, watch]
{{- end }}
{{- end }}

{{/* Values of a component that place and size its pods; all others are settings of its program. */}}
{{- define "aad.placementKeys" -}}
replicas resources nodeSelector tolerations affinity topologySpreadConstraints priorityClassName podAnnotations podLabels
{{- end }}

{{/* Where a component's pods run. Argument: dict root, component, values. */}}
{{- define "aad.placement" -}}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
{{- else }}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ $key }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "aad.selector" $ | nindent 8 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Secret that a server has its certificate from, by certificates.mode. Argument: dict root, component (webhook or broker). */}}
{{- define "aad.certificateSecret" -}}
{{- $certificates := .root.Values.certificates -}}
{{- if eq $certificates.mode "provided" -}}
{{ get $certificates.provided (printf "%sSecret" .component) }}
{{- else if eq $certificates.mode "cert-manager" -}}
aad-pod-identity-{{ .component }}-certificate
{{- else -}}
aad-pod-identity-{{ .component }}-tls
{{- end -}}
{{- end }}

{{/* Variables of a server whose certificate others issue. Argument: dict root, component. */}}
{{- define "aad.certificate" -}}
{{- if ne .root.Values.certificates.mode "self-signed" -}}
- { name: CERTIFICATE_MODE, value: {{ .root.Values.certificates.mode }} }
- { name: CERTIFICATE_SECRET, value: {{ include "aad.certificateSecret" . | quote }} }
{{- end -}}
{{- end }}

{{/* Annotations against injection by meshes: their proxies would stand between the API server and the webhook. */}}
{{- define "aad.outOfMeshes" -}}
sidecar.istio.io/inject: 'false'
linkerd.io/inject: disabled
{{- end }}

{{- define "aad.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/*
Entries of the MutatingWebhookConfiguration without caBundle, as YAML. The controller keeps them so (WEBHOOK_ENTRIES), and the policy of
controller-policies.yaml lets it write nothing else. Each has every field that the API server would default. Argument: the root.
*/}}
{{- define "aad.webhookEntries" -}}
- name: inject.aadpodidentity.k8s.io
  admissionReviewVersions: [v1]
  clientConfig:
    service:
      name: aad-pod-identity-webhook
      namespace: {{ .Release.Namespace }}
      path: /mutate
      port: 443
  # Never Ignore: a labelled pod without injection has more rights, not fewer.
  failurePolicy: Fail
  matchPolicy: Equivalent
  reinvocationPolicy: IfNeeded
  sideEffects: None
  timeoutSeconds: {{ .Values.webhook.timeoutSeconds }}
  rules:
    - apiGroups: ['']
      apiVersions: [v1]
      operations: [CREATE]
      resources: [pods]
      scope: Namespaced
  objectSelector:
    matchExpressions:
      - key: aadpodidbinding
        operator: Exists
  namespaceSelector:
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: NotIn
        values: [kube-system]
      # AKS adds these two to every webhook.
      - key: control-plane
        operator: NotIn
        values: ['true']
      - key: kubernetes.azure.com/managedby
        operator: NotIn
        values: [aks]
      {{- with .Values.webhook.namespaceSelectorExpressions }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- if .Values.guard.enabled }}
# Pods without the label. Those with it come by the entry above, and get a guard there if they are not redirected.
- name: guard.aadpodidentity.k8s.io
  admissionReviewVersions: [v1]
  clientConfig:
    service:
      name: aad-pod-identity-webhook
      namespace: {{ .Release.Namespace }}
      path: /guard
      port: 443
  failurePolicy: {{ .Values.guard.failurePolicy }}
  matchPolicy: Equivalent
  reinvocationPolicy: IfNeeded
  sideEffects: None
  timeoutSeconds: {{ .Values.webhook.timeoutSeconds }}
  rules:
    - apiGroups: ['']
      apiVersions: [v1]
      operations: [CREATE]
      resources: [pods]
      scope: Namespaced
  objectSelector:
    matchExpressions:
      - key: aadpodidbinding
        operator: DoesNotExist
  namespaceSelector:
    {{- with .Values.guard.namespaceSelector.matchLabels }}
    matchLabels:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    matchExpressions:
      # The programs of the release would wait for themselves.
      - key: kubernetes.io/metadata.name
        operator: NotIn
        values: [kube-system, {{ .Release.Namespace }}]
      - key: control-plane
        operator: NotIn
        values: ['true']
      - key: kubernetes.azure.com/managedby
        operator: NotIn
        values: [aks]
      {{- with .Values.guard.namespaceSelector.matchExpressions }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- end }}
{{- end }}

{{/* A CEL literal. Lists and maps of CEL have items of one type, so each item is dyn. Argument: any value. */}}
{{- define "aad.cel" -}}
{{- if kindIs "map" . -}}
{{- $fields := list -}}
{{- range $key, $value := . }}{{ $fields = append $fields (printf "%s: dyn(%s)" (toRawJson $key) (include "aad.cel" $value)) }}{{ end -}}
{{ printf "{%s}" (join ", " $fields) }}
{{- else if kindIs "slice" . -}}
{{- $items := list -}}
{{- range . }}{{ $items = append $items (printf "dyn(%s)" (include "aad.cel" .)) }}{{ end -}}
{{ printf "[%s]" (join ", " $items) }}
{{- else -}}
{{ toRawJson . }}
{{- end -}}
{{- end }}
