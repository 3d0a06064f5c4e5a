{{- define "fairlead.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Labels of every object. Dict: root, component. */}}
{{- define "fairlead.labels" -}}
{{ include "fairlead.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "fairlead.selector" -}}
app.kubernetes.io/name: fairlead
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* The settings file. Dict: root, component. */}}
{{- define "fairlead.settings" -}}
{{- $own := dict "namespace" .root.Release.Namespace }}
{{- if eq .component "agent" }}
{{- $_ := set $own "sysctlDir" "/host/proc/sys" }}
{{- end }}
{{- toYaml (merge $own (index .root.Values .component).settings) }}
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

{{/* Probes. A busy node is no reason to start anew. */}}
{{- define "fairlead.probes" -}}
livenessProbe:
  httpGet:
    {{- include "fairlead.httpGet" (dict "address" . "path" "/healthz") | nindent 4 }}
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet:
    {{- include "fairlead.httpGet" (dict "address" . "path" "/readyz") | nindent 4 }}
  periodSeconds: 5
  timeoutSeconds: 5
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

{{/* The parts of a Pod that its component's values are, as they are. Dict: root, component. */}}
{{- define "fairlead.placement" -}}
{{- $values := index .root.Values .component -}}
priorityClassName: {{ $values.priorityClassName }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "fairlead.agentEnv" -}}
- name: FAIRLEAD_NODE_NAME
  valueFrom:
    fieldRef: {fieldPath: spec.nodeName}
{{- include "fairlead.apiServer" . }}
{{- end }}

{{/* Nobody's identity but its own, and nothing that it may do on the node. */}}
{{- define "fairlead.nobody" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "fairlead.powerless" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
