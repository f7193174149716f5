{{/* The value of the label app.kubernetes.io/name. */}}
{{- define "keyloan.chartName" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* The name of the chart's objects. */}}
{{- define "keyloan.name" -}}
{{- $name := include "keyloan.chartName" . }}
{{- $whole := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- .Values.fullnameOverride | default $whole | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* The operator's namespace. */}}
{{- define "keyloan.namespace" -}}
{{ .Values.namespaceOverride | default .Release.Namespace }}
{{- end }}

{{/* The id of this install in the cluster: its namespace and name, short enough for a label. */}}
{{- define "keyloan.install" -}}
{{- $whole := printf "%s.%s" (include "keyloan.namespace" .) (include "keyloan.name" .) -}}
{{- if gt (len $whole) 63 }}{{ printf "%s-%s" ($whole | trunc 54 | trimSuffix "-" | trimSuffix ".") (sha256sum $whole | trunc 8) }}{{ else }}{{ $whole }}{{ end }}
{{- end }}

{{- define "keyloan.linksNamespace" -}}
{{ .Values.links.namespace | default (printf "%s-links" (include "keyloan.namespace" .)) }}
{{- end }}

{{- define "keyloan.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "keyloan.name" .) }}
{{- end }}

{{/* The operator's username. */}}
{{- define "keyloan.username" -}}
{{ printf "system:serviceaccount:%s:%s" (include "keyloan.namespace" .) (include "keyloan.serviceAccount" .) }}
{{- end }}

{{/* Whether image.repository begins with a registry, such as registry.example.com or localhost:5000. */}}
{{- define "keyloan.hasRegistry" -}}
{{- $first := splitList "/" .Values.image.repository | first }}
{{- if and (contains "/" .Values.image.repository) (or (contains "." $first) (contains ":" $first) (eq "localhost" $first)) }}true{{ end }}
{{- end }}

{{- define "keyloan.image" -}}
{{- $name := required "image.repository is empty: no image of Keyloan is published yet. Build one with the Dockerfile, push it to your registry, and set image.repository" .Values.image.repository }}
{{- $registry := (.Values.global | default dict).imageRegistry | default .Values.image.registry }}
{{- if and $registry (not (include "keyloan.hasRegistry" .)) }}{{ $name = printf "%s/%s" ($registry | trimSuffix "/") $name }}{{ end }}
{{- if .Values.image.digest }}{{ printf "%s@%s" $name .Values.image.digest }}{{ else }}{{ printf "%s:%s" $name (.Values.image.tag | default .Chart.AppVersion) }}{{ end }}
{{- end }}

{{/* The Secrets with which nodes pull images, each once. */}}
{{- define "keyloan.imagePullSecrets" -}}
{{- $all := list }}
{{- range concat ((.Values.global | default dict).imagePullSecrets | default list) (.Values.imagePullSecrets | default list) }}
{{- if kindIs "map" . }}{{ $all = append $all (dict "name" .name) }}{{ else }}{{ $all = append $all (dict "name" .) }}{{ end }}
{{- end }}
{{- with uniq $all }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{/* A map without the members that are null. */}}
{{- define "keyloan.withoutNulls" -}}
{{- $kept := dict }}
{{- range $key, $value := . }}
{{- if not (kindIs "invalid" $value) }}{{ $kept = set $kept $key $value }}{{ end }}
{{- end }}
{{- with $kept }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{/* A number or a percentage. Helm reads numbers as floating-point ones. */}}
{{- define "keyloan.number" -}}
{{ kindIs "string" . | ternary (toString .) (toString (. | int64)) }}
{{- end }}

{{- define "keyloan.subjects" -}}
- kind: ServiceAccount
  name: {{ include "keyloan.serviceAccount" . }}
  namespace: {{ include "keyloan.namespace" . | quote }}
{{- end }}

{{/* How many seconds a pod takes to stop: it hands over a link that is being made. */}}
{{- define "keyloan.gracePeriod" -}}
{{ add (.Values.onepassword.callTimeout | int64) 40 }}
{{- end }}
