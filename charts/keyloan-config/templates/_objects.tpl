{{/* The same map without the keys that a later value file set to null. As JSON. */}}
{{- define "keyloan-config.withoutNulls" -}}
{{- $kept := dict }}
{{- range $key, $value := . }}
{{- if kindIs "map" $value }}
{{- $_ := set $kept $key (include "keyloan-config.withoutNulls" $value | fromJson) }}
{{- else if not (kindIs "invalid" $value) }}
{{- $_ := set $kept $key $value }}
{{- end }}
{{- end }}
{{- toJson $kept }}
{{- end }}

{{/* The entries of a value that is a map or empty, without those that are null. As JSON. */}}
{{- define "keyloan-config.entries" -}}
{{- include "keyloan-config.withoutNulls" (. | default dict) }}
{{- end }}

{{/* A value as YAML, or as JSON if a text in it has a line break that Helm's YAML writer would change: U+0085, U+2028 or U+2029. */}}
{{- define "keyloan-config.write" -}}
{{- $json := toPrettyJson . | replace "\u0085" "\\u0085" }}
{{- if regexMatch "[\\\\]u(0085|2028|2029)" $json }}
{{- $json }}
{{- else }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{- define "keyloan-config.ownLabels" -}}
app.kubernetes.io/name: keyloan-config
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The metadata of an object. Arguments: the root, the entry's key, the entry, the namespace. */}}
{{- define "keyloan-config.metadata" -}}
{{- $root := index . 0 }}{{ $key := index . 1 }}{{ $entry := index . 2 }}{{ $namespace := index . 3 }}
{{- $labels := include "keyloan-config.ownLabels" $root | fromYaml }}
{{- $labels = mergeOverwrite $labels (include "keyloan-config.entries" $root.Values.commonLabels | fromJson) ($entry.labels | default dict) }}
{{- $annotations := mergeOverwrite (dict) (include "keyloan-config.entries" $root.Values.commonAnnotations | fromJson) ($entry.annotations | default dict) -}}
name: {{ $entry.name | default $key | quote }}
namespace: {{ $namespace | quote }}
labels:
  {{- toYaml $labels | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- include "keyloan-config.write" . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The objects of a kind of Keyloan. Arguments: the root, the kind, the name of the value. */}}
{{- define "keyloan-config.objects" -}}
{{- $root := index . 0 }}{{ $kind := index . 1 }}{{ $value := index . 2 }}
{{- $places := dict }}
{{- range $key, $entry := include "keyloan-config.entries" (get $root.Values $value) | fromJson }}
{{- $namespace := $entry.namespace | default $root.Values.namespace | default $root.Release.Namespace }}
{{- $place := printf "%s/%s" $namespace ($entry.name | default $key) }}
{{- if hasKey $places $place }}
{{- fail (printf "%s has two entries for the %s %s: %s and %s. Remove one of them, or change its name or namespace" $value $kind $place (get $places $place) $key) }}
{{- end }}
{{- $_ := set $places $place $key }}
---
apiVersion: keyloan.dev/v1alpha1
kind: {{ $kind }}
metadata:
  {{- include "keyloan-config.metadata" (list $root $key $entry $namespace) | nindent 2 }}
spec:
  {{- include "keyloan-config.write" $entry.spec | nindent 2 }}
{{- end }}
{{- end }}
