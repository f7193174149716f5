{{/* Rejects values that cannot be, with what to write instead. */}}
{{- define "keyloan.check" -}}
{{- if and (kindIs "bool" .Values.enabled) (not .Values.enabled) }}
{{- fail "enabled is false, but the chart is rendered all the same: give the dependency in your chart the condition keyloan.enabled, or do not install the chart" }}
{{- end }}
{{- include "keyloan.checkNamespaces" . }}
{{- include "keyloan.checkAccount" . }}
{{- include "keyloan.checkMetadata" . }}
{{- include "keyloan.checkSecurity" . }}
{{- include "keyloan.checkBudget" . }}
{{- include "keyloan.checkStop" . }}
{{- include "keyloan.checkImage" . }}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
{{- fail "serviceMonitor.enabled and podMonitor.enabled are both true: Prometheus would count everything twice. Enable one of them" }}
{{- end }}
{{- include "keyloan.checkPod" . }}
{{- include "keyloan.checkCluster" . }}
{{- end }}

{{/* With --reuse-values, helm takes the values of the former release, which lack those that are new. */}}
{{- define "keyloan.checkPresent" -}}
{{- range $value := list "image" "links" "log" "onepassword" "serviceAccount" "resources" "podDisruptionBudget" "service" "networkPolicy" "serviceMonitor" "podMonitor" "egress" "prometheusRule" "grafanaDashboard" }}
{{- if not (kindIs "map" (get $.Values $value)) }}
{{- fail (printf "the value %s is missing, as after an upgrade with --reuse-values: use --reset-then-reuse-values" $value) }}
{{- end }}
{{- end }}
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
{{- if eq $links (include "keyloan.namespace" .) }}
{{- fail (printf "links.namespace is %s, the operator's own namespace: choose a namespace that holds only links" $links) }}
{{- end }}
{{- if has $links .Values.integrationNamespaces }}
{{- fail (printf "links.namespace is %s, which is also in integrationNamespaces: choose a namespace that holds only links" $links) }}
{{- end }}
{{- end }}

{{/* The policies trust everything that has this account. */}}
{{- define "keyloan.checkAccount" -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) }}
{{- fail "serviceAccount.create is false and serviceAccount.name is empty: name the ServiceAccount that the operator uses" }}
{{- end }}
{{- if eq "default" (include "keyloan.serviceAccount" .) }}
{{- fail "the operator's ServiceAccount would be default, which every pod of the namespace has: set serviceAccount.name to an account that only the operator uses" }}
{{- end }}
{{- if not .Values.automountServiceAccountToken }}
{{- $token := "/var/run/secrets/kubernetes.io/serviceaccount" }}
{{- $mounted := false }}
{{- range .Values.extraVolumeMounts }}
{{- if eq $token (.mountPath | default "" | trimSuffix "/") }}{{ $mounted = true }}{{ end }}
{{- end }}
{{- if not $mounted }}
{{- fail (printf "automountServiceAccountToken is false, and extraVolumeMounts mounts no token at %s: the operator could not call the API server. Mount a token, or set automountServiceAccountToken to true" $token) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "keyloan.checkMetadata" -}}
{{- $own := include "keyloan.ownLabels" . | fromYaml }}
{{- $links := .Values.links }}
{{- $all := dict "commonLabels" .Values.commonLabels "podLabels" .Values.podLabels "links.labels" $links.labels "links.objectLabels" $links.objectLabels "service.labels" .Values.service.labels "serviceAccount.labels" .Values.serviceAccount.labels "serviceMonitor.labels" .Values.serviceMonitor.labels "podMonitor.labels" .Values.podMonitor.labels }}
{{- range $value, $labels := $all }}
{{- range $key, $text := $labels }}
{{- if and (hasKey $own $key) (ne $text (get $own $key)) }}
{{- fail (printf "%s sets the label %s to %s, but the chart itself sets it to %s: remove it from %s. The values nameOverride and fullnameOverride change the names" $value $key $text (get $own $key) $value) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $key, $text := .Values.commonAnnotations }}
{{- if hasPrefix "helm.sh/hook" $key }}
{{- fail (printf "commonAnnotations has %s, with which every object would be a hook that an upgrade does not update: remove it" $key) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The operator holds tokens and links in its memory. */}}
{{- define "keyloan.checkSecurity" -}}
{{- $container := .Values.securityContext | default dict }}
{{- range $member := list "privileged" "allowPrivilegeEscalation" }}
{{- if get $container $member }}
{{- fail (printf "securityContext.%s is true: the operator needs no privileges, and holds your tokens. Remove it" $member) }}
{{- end }}
{{- end }}
{{- range $value, $context := dict "podSecurityContext" .Values.podSecurityContext "securityContext" .Values.securityContext }}
{{- if eq "0" (get ($context | default dict) "runAsUser" | toString) }}
{{- fail (printf "%s.runAsUser is 0: the operator does not run as root. Remove it, or set another user" $value) }}
{{- end }}
{{- end }}
{{- end }}

{{/* A budget that lets no pod be evicted stops the draining of nodes. */}}
{{- define "keyloan.checkBudget" -}}
{{- $budget := .Values.podDisruptionBudget }}
{{- if and $budget.enabled (gt (.Values.replicas | int) 1) }}
{{- $least := $budget.minAvailable }}
{{- $most := $budget.maxUnavailable }}
{{- if not (or (kindIs "invalid" $least) (kindIs "invalid" $most)) }}
{{- fail "podDisruptionBudget.minAvailable and podDisruptionBudget.maxUnavailable are both set: set one of them" }}
{{- end }}
{{- if and (not (kindIs "invalid" $least)) (or (eq "100%" (toString $least)) (and (not (kindIs "string" $least)) (ge ($least | int) (.Values.replicas | int)))) }}
{{- fail (printf "podDisruptionBudget.minAvailable is %v with %v replicas: no node with a pod of the operator could be drained. Set it to less than replicas" $least .Values.replicas) }}
{{- end }}
{{- if and (not (kindIs "invalid" $most)) (has (toString $most) (list "0" "0%")) }}
{{- fail (printf "podDisruptionBudget.maxUnavailable is %v: no node with a pod of the operator could be drained. Set it to at least 1" $most) }}
{{- end }}
{{- end }}
{{- end }}

{{/* A pod that is killed amid a call loses the link that 1Password is making. */}}
{{- define "keyloan.checkStop" -}}
{{- $given := .Values.terminationGracePeriodSeconds }}
{{- $needed := include "keyloan.gracePeriod" . | int64 }}
{{- if and (not (kindIs "invalid" $given)) (lt ($given | int64) $needed) }}
{{- fail (printf "terminationGracePeriodSeconds is %v, but the operator may take %v seconds to hand over a link that 1Password is making: set at least %v, or a shorter onepassword.callTimeout" $given $needed $needed) }}
{{- end }}
{{- end }}

{{- define "keyloan.checkImage" -}}
{{- $repository := .Values.image.repository | default "" }}
{{- $last := splitList "/" $repository | last | default "" }}
{{- if or (contains ":" $last) (contains "@" $repository) }}
{{- fail (printf "image.repository is %s, which has a tag or a digest: put it into image.tag or image.digest" $repository) }}
{{- end }}
{{- if and .Values.image.registry (include "keyloan.hasRegistry" .) }}
{{- fail (printf "image.registry is %s, but image.repository begins with a registry, too (%s): remove one of them" .Values.image.registry $repository) }}
{{- end }}
{{- end }}

{{/* Rejects parts of a pod that are there twice, or that replace the chart's own. */}}
{{- define "keyloan.checkPod" -}}
{{- $deployment := include (print .Template.BasePath "/deployment.yaml") . | fromYaml }}
{{- $pod := $deployment.spec.template.spec }}
{{- $operator := first $pod.containers }}
{{- $flags := list }}
{{- range .Values.extraArgs }}
{{- $flags = append $flags (splitList "=" . | first) }}
{{- end }}
{{- $count := len $flags }}
{{- $own := list "--allow-origin" "--integration-namespaces" "--link-label" }}
{{- range slice $operator.args 0 (sub (len $operator.args) $count | int) }}
{{- $own = append $own (splitList "=" . | first) }}
{{- end }}
{{- range $flags }}
{{- if has . $own }}
{{- fail (printf "extraArgs has %s, which the chart sets: use the value of the chart instead" .) }}
{{- end }}
{{- end }}
{{- $names := list }}
{{- range $operator.env }}
{{- if has .name $names }}
{{- fail (printf "extraEnv has %s, which the chart sets or which is there twice: remove it" .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- end }}
{{- range .Values.extraEnv }}
{{- if hasPrefix "KEYLOAN_" .name }}
{{- fail (printf "extraEnv has %s: use the value of the chart, or extraArgs for a setting that has no value" .name) }}
{{- end }}
{{- end }}
{{- $names = list }}
{{- range concat $pod.containers ($pod.initContainers | default list) }}
{{- if has .name $names }}
{{- fail (printf "two containers have the name %s: rename the one in extraContainers or extraInitContainers" .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- end }}
{{- $names = list }}
{{- range $pod.volumes }}
{{- if has .name $names }}
{{- fail (printf "two volumes have the name %s: rename the one in extraVolumes" .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- end }}
{{- range .Values.extraVolumeMounts }}
{{- if or (eq "/" .mountPath) (hasPrefix "/keyloan/" (printf "%s/" .mountPath)) }}
{{- fail (printf "extraVolumeMounts mounts %s at %s, which would hide the operator's program: choose another path" .name .mountPath) }}
{{- end }}
{{- end }}
{{- end }}

{{/*
Reports what is wrong in the cluster, because the messages of helm and of the API server would not
mention the values. Helm can look objects up only when it installs or upgrades. A parent chart may
create the namespaces itself, so a subchart does not check them.
*/}}
{{- define "keyloan.checkCluster" -}}
{{- $there := list }}
{{- range (lookup "v1" "Namespace" "" "").items }}
{{- $there = append $there .metadata.name }}
{{- end }}
{{- $links := include "keyloan.linksNamespace" . }}
{{- $own := include "keyloan.namespace" . }}
{{- if and .Chart.IsRoot $there }}
{{- if not (or .Values.links.create (has $links $there)) }}
{{- fail (printf "the links namespace %s does not exist, and links.create is false: create it, have the chart create it (links.create: true), or name another one (links.namespace)" $links) }}
{{- end }}
{{- range without .Values.integrationNamespaces .Release.Namespace }}
{{- if not (has . $there) }}
{{- fail (printf "the namespace %s in integrationNamespaces does not exist: create it (kubectl create namespace %s), or list the namespaces of your integrations" . .) }}
{{- end }}
{{- end }}
{{- if not (or (eq $own .Release.Namespace) (has $own $there)) }}
{{- fail (printf "the namespace %s in namespaceOverride does not exist: create it (kubectl create namespace %s)" $own $own) }}
{{- end }}
{{- end }}
{{- if has $links $there }}
{{- $holder := dig "spec" "holderIdentity" "" (lookup "coordination.k8s.io/v1" "Lease" $links "keyloan-links") }}
{{- $install := include "keyloan.install" . }}
{{- if and $holder (ne $holder $install) }}
{{- fail (printf "the namespace %s holds the links of the install %s, and this release would be the install %s: keep the former names (release, namespace, nameOverride, fullnameOverride, namespaceOverride), or set links.namespace to a namespace that no other install uses" $links $holder $install) }}
{{- end }}
{{- end }}
{{- $deployment := lookup "apps/v1" "Deployment" $own (include "keyloan.name" .) }}
{{- if $deployment }}
{{- $selects := $deployment.spec.selector.matchLabels }}
{{- $wanted := include "keyloan.selector" . | fromYaml }}
{{- if ne (toJson $selects) (toJson $wanted) }}
{{- fail (printf "the Deployment %s/%s selects its pods by other labels (%s), which cannot change: keep the former nameOverride and release name, or delete the Deployment first" $own (include "keyloan.name" .) (toJson $selects)) }}
{{- end }}
{{- end }}
{{- end }}
