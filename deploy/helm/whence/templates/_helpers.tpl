{{- /* Names of all objects: that of the release, short enough for suffixes and for pods. */}}
{{- define "whence.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "whence.coordinator" -}}
{{- include "whence.name" . }}-coordinator
{{- end }}

{{- define "whence.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "whence.name" .) "default" .Values.serviceAccount.create) -}}
{{- end }}

{{- define "whence.selector" -}}
app.kubernetes.io/name: whence
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "whence.labels" -}}
{{ include "whence.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "whence.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{- define "whence.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: {{ .Values.fsGroup }}
# Without it, every file of a large volume gets its group anew for each pod.
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "whence.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* Where every container gets its environment. */}}
{{- define "whence.envFrom" -}}
- configMapRef: {name: {{ include "whence.name" . }}}
{{- range .Values.secretEnv }}
- secretRef: {name: {{ . }}}
{{- end }}
{{- end }}

{{- define "whence.hubToken" -}}
{{- with .Values.hub }}
{{- if .secret }}
- name: HF_TOKEN
  valueFrom: {secretKeyRef: {name: {{ .secret }}, key: {{ .key }}}}
{{- end }}
{{- end }}
{{- end }}

{{- define "whence.podMetadata" -}}
annotations:
  # New settings need new pods.
  checksum/config: {{ include (print .Template.BasePath "/configmap.yaml") . | sha256sum }}
  {{- with .Values.podAnnotations }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}
