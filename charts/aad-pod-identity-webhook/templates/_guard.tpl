{{/* A label selector as CEL over `variables.namespaceLabels`. Argument: the selector. */}}
{{- define "aad.selectorAsCel" -}}
{{- $terms := list -}}
{{- range $key, $value := .matchLabels -}}
{{- $terms = append $terms (printf "variables.namespaceLabels[?'%s'] == optional.of('%s')" $key $value) -}}
{{- end -}}
{{- range .matchExpressions -}}
{{- $values := list -}}
{{- range .values }}{{ $values = append $values (printf "'%s'" .) }}{{ end -}}
{{- $isIn := printf "variables.namespaceLabels[?'%s'].orValue('-') in [%s]" .key (join ", " $values) -}}
{{- $exists := printf "'%s' in variables.namespaceLabels" .key -}}
{{- $term := get (dict "In" $isIn "NotIn" (printf "!(%s)" $isIn) "Exists" $exists "DoesNotExist" (printf "!(%s)" $exists)) .operator -}}
{{- $terms = append $terms $term -}}
{{- end -}}
{{- join " && " $terms | default "true" -}}
{{- end }}

{{/* Action of an admission policy; YAML reads a bare `off` as false. Argument: dict root, policy. */}}
{{- define "aad.policyAction" -}}
{{- get .root.Values.guard.policies .policy | toString | replace "false" "off" -}}
{{- end }}

{{/* Head of a ValidatingAdmissionPolicy, up to its spec. Argument: dict root, name. */}}
{{- define "aad.policyHead" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ .name }}
  labels:
    {{- include "aad.labels" (dict "root" .root "component" "guard") | nindent 4 }}
{{- end }}

{{/* Its binding. Argument: dict root, name, action (warn, audit or deny), namespaceSelector where it does not count everywhere. */}}
{{- define "aad.policyBinding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  labels:
    {{- include "aad.labels" (dict "root" .root "component" "guard") | nindent 4 }}
spec:
  policyName: {{ .name }}
  validationActions: [{{ get (dict "warn" "Warn, Audit" "audit" "Audit" "deny" "Deny") .action }}]
  {{- with .namespaceSelector }}
  matchResources:
    namespaceSelector:
      {{- toYaml . | nindent 6 }}
  {{- end }}
{{- end }}

{{/* Fails where something selects pods by a marker that their authors may set. Argument: the root. */}}
{{- define "aad.requireMarkerPolicy" -}}
{{- $readers := dict
  "guard.networkPolicy.namespaces is set" .Values.guard.networkPolicy.namespaces
  "guard.cilium.enabled is true" .Values.guard.cilium.enabled
  "guard.policies.ephemeralContainers is deny" (eq (include "aad.policyAction" (dict "root" . "policy" "ephemeralContainers")) "deny")
  "guard.policies.containerPrivileges is deny" (eq (include "aad.policyAction" (dict "root" . "policy" "containerPrivileges")) "deny") -}}
{{- $action := include "aad.policyAction" (dict "root" . "policy" "marker") -}}
{{- range $reader, $isOn := $readers -}}
{{- if and $isOn (ne $action "deny") -}}
{{- fail (printf "guard.policies.marker is %s: accepted is deny, because %s and selects pods by a label that their authors could set themselves" $action $reader) -}}
{{- end -}}
{{- end -}}
{{- end }}
