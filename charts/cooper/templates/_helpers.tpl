{{/* Names. A release's may have periods, which Services' may not. */}}
{{- define "cooper.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "cooper.fullname" -}}
{{- $name := include "cooper.name" . -}}
{{- $own := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $own .Values.fullnameOverride | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "cooper.kekSecret" -}}
{{- default (printf "kek-%s" .Values.region.name) .Values.gateway.kekSecret -}}
{{- end -}}

{{/* TLS by the gateway: "true" or nothing, its Secret, and the names of a certificate that is made (as JSON). */}}
{{- define "cooper.tls" -}}
{{- if and .Values.gateway.enabled (ne .Values.gateway.tls.mode "none") -}}true{{- end -}}
{{- end -}}

{{- define "cooper.tlsSecret" -}}
{{- if eq .Values.gateway.tls.mode "secret" -}}
{{- required "gateway.tls.secretName: the Secret of type kubernetes.io/tls to serve with" .Values.gateway.tls.secretName -}}
{{- else -}}
{{- default (printf "%s-gateway-tls" (include "cooper.fullname" .)) .Values.gateway.tls.secretName -}}
{{- end -}}
{{- end -}}

{{/* The Region's endpoints (as JSON): values of their own, and what `region.spec` says, which counts before them. */}}
{{- define "cooper.endpoints" -}}
{{- $scheme := ternary "https" "http" (eq (include "cooper.tls" .) "true") -}}
{{- $service := printf "%s://%s-gateway.%s.svc:%v" $scheme (include "cooper.fullname" .) .Release.Namespace .Values.gateway.service.port -}}
{{- $endpoints := dict "internal" (default $service .Values.region.internalEndpoint) -}}
{{- if .Values.region.publicEndpoint -}}
{{- $_ := set $endpoints "public" .Values.region.publicEndpoint -}}
{{- end -}}
{{- mergeOverwrite $endpoints (dig "endpoints" (dict) (default (dict) .Values.region.spec)) | toJson -}}
{{- end -}}

{{/* Below which each bucket has a host name; nothing where the Region names none. */}}
{{- define "cooper.virtualHosts" -}}
{{- dig "features" "virtualHosts" "" (default (dict) .Values.region.spec) -}}
{{- end -}}

{{- define "cooper.tlsNames" -}}
{{- $names := .Values.gateway.tls.dnsNames -}}
{{- if not $names -}}
{{- $service := printf "%s-gateway" (include "cooper.fullname" .) -}}
{{- $within := printf "%s.%s" $service .Release.Namespace -}}
{{- $names = list (printf "%s.svc" $within) $service $within (printf "%s.svc.cluster.local" $within) "localhost" -}}
{{- range $endpoint := include "cooper.endpoints" . | fromJson -}}
{{- $names = append $names (lower (urlParse $endpoint).hostname) -}}
{{- end -}}
{{- if .Values.ingress.enabled -}}{{- $names = append $names .Values.ingress.host -}}{{- end -}}
{{- with include "cooper.virtualHosts" . -}}{{- $names = concat $names (list . (printf "*.%s" .)) -}}{{- end -}}
{{- end -}}
{{- $names | compact | uniq | toJson -}}
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
app.kubernetes.io/name: {{ include "cooper.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "cooper.labels" -}}
{{ include "cooper.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | replace "+" "_" | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
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

{{/* Annotations by which ingress-nginx neither limits nor buffers bodies. */}}
{{- define "cooper.unbuffered" -}}
nginx.ingress.kubernetes.io/proxy-body-size: "0"
nginx.ingress.kubernetes.io/proxy-request-buffering: "off"
nginx.ingress.kubernetes.io/proxy-buffering: "off"
{{- if include "cooper.tls" . }}
nginx.ingress.kubernetes.io/backend-protocol: HTTPS
{{- end }}
{{- end -}}

{{- define "cooper.region" -}}
apiVersion: cooper.dev/v1alpha1
kind: Region
metadata:
  name: {{ .Values.region.name | quote }}
spec:
  {{- $scheme := ternary "https" "http" (eq (include "cooper.tls" .) "true") }}
  {{- $endpoints := include "cooper.endpoints" . | fromJson }}
  {{- $spec := dict "tag" .Values.region.tag "default" .Values.region.default "endpoints" $endpoints }}
  {{- $service := dict "name" (printf "%s-gateway" (include "cooper.fullname" .)) "port" "s3" }}
  {{- /* Something before the gateway ends TLS, or begins it. */}}
  {{- if and .Values.gateway.enabled (not (hasPrefix (printf "%s://" $scheme) $endpoints.internal)) }}
  {{- $service = set $service "scheme" $scheme }}
  {{- end }}
  {{- $spec = set $spec "service" $service }}
  {{- mergeOverwrite $spec (deepCopy (default (dict) .Values.region.spec)) | toYaml | nindent 2 }}
{{- end -}}
