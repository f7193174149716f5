{{/* The way to 1Password: what the operator is told of the proxy and the certificates, and the files that hold them. */}}

{{/* The arguments. */}}
{{- define "keyloan.egress.args" -}}
{{- with .Values.egress.proxy }}
{{- with .url }}
- {{ printf "--proxy=%s" . | toJson }}
{{- end }}
{{- if and .noProxy (not .url) }}
{{- fail "egress.proxy.noProxy needs egress.proxy.url: without it, set NO_PROXY beside HTTPS_PROXY in the operator's environment" }}
{{- end }}
{{- range .noProxy }}
- {{ printf "--no-proxy=%s" . | toJson }}
{{- end }}
{{- if .credentialsSecretRef.name }}
- --proxy-credentials=/etc/keyloan/proxy
{{- end }}
{{- end }}
{{- with .Values.egress.caBundle }}
{{- if and .configMap.name .secret.name }}
{{- fail "egress.caBundle names both a ConfigMap and a Secret: name one of them" }}
{{- end }}
{{- if or .configMap.name .secret.name }}
- --ca-bundle=/etc/keyloan/ca/ca.crt
{{- end }}
{{- end }}
{{- end }}

{{/* The volumes. Without subPath: the kubelet then follows changes, and so does the operator. */}}
{{- define "keyloan.egress.volumes" -}}
{{- with .Values.egress.proxy.credentialsSecretRef }}
{{- if .name }}
- name: proxy-credentials
  secret:
    secretName: {{ .name | quote }}
    items:
    - key: {{ .usernameKey | quote }}
      path: username
    - key: {{ .passwordKey | quote }}
      path: password
{{- end }}
{{- end }}
{{- with .Values.egress.caBundle.configMap }}
{{- if .name }}
- name: ca-bundle
  configMap:
    name: {{ .name | quote }}
    items:
    - key: {{ .key | quote }}
      path: ca.crt
{{- end }}
{{- end }}
{{- with .Values.egress.caBundle.secret }}
{{- if .name }}
- name: ca-bundle
  secret:
    secretName: {{ .name | quote }}
    items:
    - key: {{ .key | quote }}
      path: ca.crt
{{- end }}
{{- end }}
{{- end }}

{{/* Where they are mounted. */}}
{{- define "keyloan.egress.mounts" -}}
{{- if .Values.egress.proxy.credentialsSecretRef.name }}
- name: proxy-credentials
  mountPath: /etc/keyloan/proxy
  readOnly: true
{{- end }}
{{- if or .Values.egress.caBundle.configMap.name .Values.egress.caBundle.secret.name }}
- name: ca-bundle
  mountPath: /etc/keyloan/ca
  readOnly: true
{{- end }}
{{- end }}
