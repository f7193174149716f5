{{/* A list of texts as a CEL literal. */}}
{{- define "keyloan-crds.texts" -}}
[{{- range $index, $text := . }}{{ if $index }}, {{ end }}'{{ $text | replace "\\" "\\\\" | replace "'" "\\'" }}'{{ end }}]
{{- end }}

{{/* Each one once: helm's uniqueItems looks at whole entries. */}}
{{- define "keyloan-crds.operators" -}}
{{- if and (kindIs "bool" .Values.enabled) (not .Values.enabled) }}
{{- fail "enabled is false, but the chart is rendered all the same: give the dependency in your chart the condition keyloan-crds.enabled, or do not install the chart" }}
{{- end }}
{{- $usernames := list }}
{{- range .Values.operators }}
{{- if not (kindIs "map" .) }}
{{- fail (printf "operators has the entry %v: write its username and its links namespace, such as {username: %v, linksNamespace: keyloan-system-links}" . .) }}
{{- end }}
{{- $usernames = append $usernames .username }}
{{- end }}
{{- include "keyloan-crds.texts" $usernames }}
{{- end }}

{{/* Where each one keeps links, as NAMESPACE/USERNAME. */}}
{{- define "keyloan-crds.links" -}}
{{- $entries := list }}
{{- range .Values.operators }}{{ $entries = append $entries (printf "%s/%s" .linksNamespace .username) }}{{ end }}
{{- include "keyloan-crds.texts" $entries }}
{{- end }}

{{- define "keyloan-crds.deleters" -}}
{{ include "keyloan-crds.texts" .Values.deleters }}
{{- end }}

{{- define "keyloan-crds.restorers" -}}
{{ include "keyloan-crds.texts" (.Values.restorers | default list) }}
{{- end }}

{{/* Empty: nobody has an address. */}}
{{- define "keyloan-crds.email" -}}
{{ .Values.email | trim | empty | ternary "''" .Values.email }}
{{- end }}

{{- define "keyloan-crds.emailDomain" -}}
'{{ .Values.emailDomain | default "" }}'
{{- end }}

{{/* Whether there are mutating policies: by the version, because offline Helm does not know which kinds a cluster serves.
YAML takes on and off without quotes for true and false. */}}
{{- define "keyloan-crds.mutating" -}}
{{- $wanted := .Values.mutatingPolicies }}
{{- if kindIs "bool" $wanted }}{{ $wanted = ternary "on" "off" $wanted }}{{ end }}
{{- $version := .Capabilities.KubeVersion.Version }}
{{- $known := semverCompare ">=1.36.0-0" $version }}
{{- if and (eq $wanted "on") (not $known) }}
{{- fail (printf "mutatingPolicies is on, but Kubernetes %s has no MutatingAdmissionPolicy of version v1: it comes with 1.36. Set mutatingPolicies to auto or off, or --kube-version to the cluster's version" $version) }}
{{- end }}
{{- if or (eq $wanted "on") (and (eq $wanted "auto") $known) }}true{{ end }}
{{- end }}
