{{/* Whether the gateway's StatefulSet that is there may become the one of these values. */}}
{{- define "cooper.checks.unchangeable" -}}
{{- printf "%s Set it as it was; where it has to be another one, docs/upgrade-and-backup.md says how (What an upgrade cannot change)" . | fail -}}
{{- end -}}

{{/* Its name, its labels, and the Region that it serves: given as {root, found}. */}}
{{- define "cooper.checks.names" -}}
{{- $name := printf "%s-gateway" (include "cooper.fullname" .root) -}}
{{- $label := get .found.spec.selector.matchLabels "app.kubernetes.io/name" -}}
{{- if or (ne $name .found.metadata.name) (ne (include "cooper.name" .root) $label) -}}
{{- printf "nameOverride, fullnameOverride: the gateway is the StatefulSet %s of %s. One of another name would have an empty volume." .found.metadata.name $label | include "cooper.checks.unchangeable" -}}
{{- end -}}
{{- range (first .found.spec.template.spec.containers).args -}}
{{- if and (hasPrefix "--region=" .) (ne . (printf "--region=%s" $.root.Values.region.name)) -}}
{{- printf "region.name: the gateway serves the Region %s, whose Buckets nobody would serve any more." (trimPrefix "--region=" .) | include "cooper.checks.unchangeable" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Its volume: given as {values, found}. */}}
{{- define "cooper.checks.volume" -}}
{{- $claims := default (list) .found.spec.volumeClaimTemplates -}}
{{- if ne (empty $claims) (not (empty .values.existingClaim)) -}}
{{- $how := ternary "a claim of its own" "a claim that was there" (not (empty $claims)) -}}
{{- printf "gateway.persistence.existingClaim: the StatefulSet %s has its volume by %s, which Kubernetes lets no upgrade change." .found.metadata.name $how | include "cooper.checks.unchangeable" -}}
{{- end -}}
{{- range $claims -}}
{{- $size := .spec.resources.requests.storage -}}
{{- $class := default "" .spec.storageClassName -}}
{{- $same := eq (include "cooper.bytes" $size) (include "cooper.bytes" $.values.size) -}}
{{- $same = and $same (eq $class (default "" $.values.storageClass)) (has $.values.accessMode .spec.accessModes) -}}
{{- if not $same -}}
{{- printf "gateway.persistence: the StatefulSet %s has a volume of size %s, storageClass %q and accessMode %s, which Kubernetes lets no upgrade change." $.found.metadata.name $size $class (first .spec.accessModes) | include "cooper.checks.unchangeable" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A quantity as a number: an API server writes 1024Mi as 1Gi. */}}
{{- define "cooper.bytes" -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- mulf $number (get $units (trimPrefix $number .)) | printf "%.0f" -}}
{{- end -}}
