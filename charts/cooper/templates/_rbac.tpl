{{/* What the operator calls, and nothing else: a test compares these rows with its calls. */}}
{{- define "cooper.rules.regions" -}}
- apiGroups: [cooper.dev]
  resources: [regions]
  verbs: [get, list, watch, create, update]
- apiGroups: [cooper.dev]
  resources: [regions/status]
  verbs: [update]
{{- end -}}

{{- define "cooper.rules.namespaces" -}}
# By their UIDs: data that was retained is only for the namespace that left it.
- apiGroups: [""]
  resources: [namespaces]
  {{- with .Values.watchNamespaces }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [get]
{{- end -}}

{{- define "cooper.rules.tenants" -}}
- apiGroups: [cooper.dev]
  resources: [buckets]
  # To make one is for CreateBucket over S3, where a Region serves that.
  verbs: [get, list, watch, {{ if or .Values.operator.createBuckets (dig "features" "createBucket" false (default (dict) .Values.region.spec)) }}create, {{ end }}update, delete]
- apiGroups: [cooper.dev]
  resources: [accesskeys]
  verbs: [get, list, watch, create, update, delete]
- apiGroups: [cooper.dev]
  resources: [bucketgrants]
  verbs: [get, list, watch, delete]
- apiGroups: [cooper.dev]
  resources: [buckets/status, bucketgrants/status, accesskeys/status]
  verbs: [update]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
# Beside Secrets of profile OBC.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [get, create, patch]
{{- end -}}

{{- define "cooper.rules.workloads" -}}
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [get, patch]
{{- end -}}

{{- define "cooper.rules.own" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [records-revision]
  verbs: [get, patch]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [cooper-operator]
  verbs: [get, update]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
{{- end -}}

{{- define "cooper.binding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name }}
  namespace: {{ .namespace | quote }}
  labels: {{- include "cooper.labels" .part | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .account }}
    namespace: {{ .part.root.Release.Namespace | quote }}
{{- end -}}

{{- define "cooper.clusterBinding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ .name }}
  labels: {{- include "cooper.labels" .part | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .account }}
    namespace: {{ .part.root.Release.Namespace | quote }}
{{- end -}}
