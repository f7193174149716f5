{{- define "keyloan.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* The id of this install in the cluster: its namespace and name, short enough for a label. */}}
{{- define "keyloan.install" -}}
{{- $whole := printf "%s.%s" .Release.Namespace (include "keyloan.name" .) -}}
{{- if gt (len $whole) 63 }}{{ printf "%s-%s" ($whole | trunc 54 | trimSuffix "-" | trimSuffix ".") (sha256sum $whole | trunc 8) }}{{ else }}{{ $whole }}{{ end }}
{{- end }}

{{- define "keyloan.linksNamespace" -}}
{{ .Values.links.namespace | default (printf "%s-links" .Release.Namespace) }}
{{- end }}

{{/* Rejects a value of an earlier chart, and namespaces that cannot be used. */}}
{{- define "keyloan.checkNamespaces" -}}
{{- if hasKey .Values "namespaces" }}
{{- fail "the value namespaces no longer exists: Keyloan keeps links in one namespace (links.namespace) and reads tokens in integrationNamespaces. List the namespaces of your integrations in integrationNamespaces, and remove the value namespaces" }}
{{- end }}
{{- if not .Values.integrationNamespaces }}
{{- fail "integrationNamespaces is empty: name the namespaces of your integrations, such as keyloan" }}
{{- end }}
{{- $links := include "keyloan.linksNamespace" . }}
{{- if gt (len $links) 63 }}
{{- fail (printf "the links namespace %s has a name of more than 63 characters: set links.namespace" $links) }}
{{- end }}
{{- if eq $links .Release.Namespace }}
{{- fail (printf "links.namespace is %s, the operator's own namespace: choose a namespace that holds only links" $links) }}
{{- end }}
{{- if has $links .Values.integrationNamespaces }}
{{- fail (printf "links.namespace is %s, which is also in integrationNamespaces: choose a namespace that holds only links" $links) }}
{{- end }}
{{- end }}

{{/*
Reports missing namespaces, because helm's own message would not mention the values. Helm can look up
the existing namespaces only when it installs or upgrades. A parent chart may create the namespaces
itself, so a subchart does not check them.
*/}}
{{- define "keyloan.checkExisting" -}}
{{- $there := list }}
{{- range (lookup "v1" "Namespace" "" "").items }}
{{- $there = append $there .metadata.name }}
{{- end }}
{{- if and .Chart.IsRoot $there }}
{{- $links := include "keyloan.linksNamespace" . }}
{{- if not (or .Values.links.create (has $links $there)) }}
{{- fail (printf "the links namespace %s does not exist, and links.create is false: create it, have the chart create it (links.create: true), or name another one (links.namespace)" $links) }}
{{- end }}
{{- range without .Values.integrationNamespaces .Release.Namespace }}
{{- if not (has . $there) }}
{{- fail (printf "the namespace %s in integrationNamespaces does not exist: create it (kubectl create namespace %s), or list the namespaces of your integrations" . .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "keyloan.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "keyloan.name" .) }}
{{- end }}

{{- define "keyloan.image" -}}
{{- $repository := required "image.repository is empty: no image of Keyloan is published yet. Build one with the Dockerfile, push it to your registry, and set image.repository" .Values.image.repository }}
{{- if .Values.image.digest }}{{ printf "%s@%s" $repository .Values.image.digest }}{{ else }}{{ printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) }}{{ end }}
{{- end }}

{{/* The labels that select the pods: they never change during the life of a release. */}}
{{- define "keyloan.selector" -}}
app.kubernetes.io/name: keyloan
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "keyloan.labels" -}}
{{- with .Values.commonLabels }}
{{- toYaml . }}
{{ end }}
{{- include "keyloan.ownLabels" . }}
{{- end }}

{{/* The labels that the values set on an object. Arguments: the root, and the labels of this object. These take precedence over the labels of all objects. */}}
{{- define "keyloan.moreLabels" -}}
{{- with merge (dict) (index . 1 | default dict) ((index . 0).Values.commonLabels | default dict) }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{- define "keyloan.ownLabels" -}}
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
