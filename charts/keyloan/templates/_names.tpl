{{- define "keyloan.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "keyloan.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "keyloan.name" .) }}
{{- end }}

{{- define "keyloan.image" -}}
{{- $repository := required "image.repository is empty: no image of Keyloan is published yet, so make one with the Dockerfile and name it here" .Values.image.repository }}
{{- if .Values.image.digest }}{{ printf "%s@%s" $repository .Values.image.digest }}{{ else }}{{ printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) }}{{ end }}
{{- end }}

{{/* What selects the pods: never changes in the life of a release. */}}
{{- define "keyloan.selector" -}}
app.kubernetes.io/name: keyloan
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "keyloan.labels" -}}
{{ include "keyloan.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "keyloan.subjects" -}}
- kind: ServiceAccount
  name: {{ include "keyloan.serviceAccount" . }}
  namespace: {{ .Release.Namespace | quote }}
{{- end }}
