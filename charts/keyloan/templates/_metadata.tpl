{{/* The labels that select the pods: they never change during the life of a release. */}}
{{- define "keyloan.selector" -}}
app.kubernetes.io/name: {{ include "keyloan.chartName" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* The chart's own labels of an object. No value replaces them. */}}
{{- define "keyloan.ownLabels" -}}
{{ include "keyloan.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/*
The labels that the values set on an object. Arguments: the root, and the labels of this object.
These take precedence over the labels of all objects.
*/}}
{{- define "keyloan.moreLabels" -}}
{{- with merge (dict) (index . 1 | default dict) ((index . 0).Values.commonLabels | default dict) }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{/* All labels of an object, each once. Arguments: the root, and the labels of this object. */}}
{{- define "keyloan.allLabels" -}}
{{- $own := include "keyloan.ownLabels" (index . 0) | fromYaml }}
{{- toYaml (merge $own (include "keyloan.moreLabels" . | fromYaml)) }}
{{- end }}

{{/* The labels and annotations of an object. Arguments: the root, and the labels and the annotations of this object. */}}
{{- define "keyloan.metadata" -}}
{{- $root := index . 0 }}
  labels:
    {{- include "keyloan.allLabels" (list $root (index . 1)) | nindent 4 }}
{{- with merge (dict) (index . 2 | default dict) ($root.Values.commonAnnotations | default dict) }}
  annotations:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}
