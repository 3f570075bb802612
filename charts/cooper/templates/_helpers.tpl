{{/* Names. */}}
{{- define "cooper.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "cooper.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "cooper.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "cooper.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "cooper.kekSecret" -}}
{{- default (printf "kek-%s" .Values.region.name) .Values.gateway.kekSecret -}}
{{- end -}}

{{- define "cooper.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Labels: of a part (operator, gateway), given as {root, part}. */}}
{{- define "cooper.selector" -}}
app.kubernetes.io/name: {{ include "cooper.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "cooper.labels" -}}
{{ include "cooper.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* What the "restricted" Pod security standard asks for. */}}
{{- define "cooper.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "cooper.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "cooper.region" -}}
apiVersion: cooper.dev/v1alpha1
kind: Region
metadata:
  name: {{ .Values.region.name }}
spec:
  {{- $internal := default (printf "http://%s-gateway.%s.svc:%v" (include "cooper.fullname" .) .Release.Namespace .Values.gateway.service.port) .Values.region.internalEndpoint }}
  {{- $endpoints := dict "internal" $internal }}
  {{- if .Values.region.publicEndpoint }}
  {{- $endpoints = set $endpoints "public" .Values.region.publicEndpoint }}
  {{- end }}
  {{- $spec := dict "tag" .Values.region.tag "default" .Values.region.default "endpoints" $endpoints }}
  {{- $spec = set $spec "service" (dict "name" (printf "%s-gateway" (include "cooper.fullname" .)) "port" "s3") }}
  {{- mergeOverwrite $spec (deepCopy .Values.region.spec) | toYaml | nindent 2 }}
{{- end -}}
