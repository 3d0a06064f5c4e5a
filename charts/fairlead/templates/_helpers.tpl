{{- define "fairlead.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Labels of every object. Dict: root, component. */}}
{{- define "fairlead.labels" -}}
{{ include "fairlead.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "fairlead.selector" -}}
app.kubernetes.io/name: fairlead
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* The settings file. Dict: root, settings. */}}
{{- define "fairlead.settings" -}}
{{ toYaml (merge (dict "namespace" .root.Release.Namespace) .settings) }}
{{- end }}

{{/* The API server, where kube-proxy is not to be waited for. */}}
{{- define "fairlead.apiServer" -}}
{{- with .Values.apiServer.host }}
- name: KUBERNETES_SERVICE_HOST
  value: {{ . | quote }}
- name: KUBERNETES_SERVICE_PORT
  value: {{ $.Values.apiServer.port | quote }}
{{- end }}
{{- end }}

{{/* httpGet of a probe. Dict: address, path. On the host network the kubelet
     reaches a loopback address too, but must be told of it. */}}
{{- define "fairlead.httpGet" -}}
{{- $host := regexReplaceAll ":[0-9]+$" .address "" | trimPrefix "[" | trimSuffix "]" -}}
path: {{ .path }}
port: {{ regexFind "[0-9]+$" .address }}
{{- with $host }}
host: {{ . | quote }}
{{- end }}
{{- end }}

{{/* Ports on the host network, so that two pods that want the same one do not
     meet. Dict: health, metrics. */}}
{{- define "fairlead.ports" -}}
{{- range $name, $address := . }}
{{- if $address }}
{{- $port := regexFind "[0-9]+$" $address }}
- name: {{ $name }}
  containerPort: {{ $port }}
  hostPort: {{ $port }}
{{- end }}
{{- end }}
{{- end }}

{{- define "fairlead.agentEnv" -}}
- name: FAIRLEAD_NODE_NAME
  valueFrom:
    fieldRef: {fieldPath: spec.nodeName}
{{- include "fairlead.apiServer" . }}
{{- end }}
