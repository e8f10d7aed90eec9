{{- define "tidings.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "tidings.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "tidings.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "tidings.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "tidings.selector" -}}
app.kubernetes.io/name: {{ include "tidings.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tidings.labels" -}}
{{ include "tidings.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{- define "tidings.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* Whether the admin interface listens: for administrators, or for probes, which send no PROXY header. */}}
{{- define "tidings.hasAdmin" -}}
{{- if or .Values.gateway.admin.enabled .Values.gateway.proxyProtocol }}yes{{ end }}
{{- end }}

{{- define "tidings.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
serviceAccountName: {{ include "tidings.fullname" . }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "tidings.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* Spread over nodes, and as well as it goes over zones; pods of an earlier version do not count. */}}
{{- define "tidings.spread" -}}
topologySpreadConstraints:
  {{- range list (list "kubernetes.io/hostname" .root.Values.spread) (list "topology.kubernetes.io/zone" "ScheduleAnyway") }}
  - maxSkew: 1
    topologyKey: {{ index . 0 }}
    whenUnsatisfiable: {{ index . 1 }}
    nodeTaintsPolicy: Honor
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels: {{- $.labels | nindent 8 }}
  {{- end }}
{{- end }}

{{/* The environment of all processes. */}}
{{- define "tidings.environment" -}}
- name: TIDINGS_CONFIG
  value: /etc/tidings/tidings.toml
- name: TIDINGS_NATS__URL
  value: {{ .root.Values.nats.url | quote }}
- name: TIDINGS_NATS__API_PREFIX
  value: {{ .root.Values.nats.apiPrefix | quote }}
{{- if .root.Values.nats.existingSecret }}
- name: TIDINGS_NATS__CREDENTIALS
  value: /etc/tidings/nats/nats.creds
{{- end }}
{{- if .root.Values.nats.caSecret }}
- name: TIDINGS_NATS__TLS_CA
  value: /etc/tidings/nats-ca/ca.crt
{{- end }}
- name: TIDINGS_SCHEMAS__DIRECTORY
  value: {{ ternary "/etc/tidings/schemas" "/usr/share/tidings/schemas" (not (empty .root.Values.catalogs)) }}
{{- if .root.Values.metrics.enabled }}
- name: TIDINGS_TELEMETRY__METRICS_LISTEN
  value: "0.0.0.0:9464"
{{- end }}
{{- end }}

{{- define "tidings.mounts" -}}
- name: config
  mountPath: /etc/tidings/tidings.toml
  subPath: tidings.toml
  readOnly: true
{{- if .root.Values.nats.existingSecret }}
- name: nats
  mountPath: /etc/tidings/nats
  readOnly: true
{{- end }}
{{- if .root.Values.nats.caSecret }}
- name: nats-ca
  mountPath: /etc/tidings/nats-ca
  readOnly: true
{{- end }}
{{- range $tenant, $_ := .root.Values.catalogs }}
- name: catalog-{{ $tenant | sha256sum | trunc 10 }}
  mountPath: /etc/tidings/schemas/{{ $tenant }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "tidings.volumes" -}}
- name: config
  configMap:
    name: {{ include "tidings.fullname" .root }}
{{- if .root.Values.nats.existingSecret }}
- name: nats
  secret:
    secretName: {{ .root.Values.nats.existingSecret }}
    items:
      - key: {{ .key }}
        path: nats.creds
{{- end }}
{{- if .root.Values.nats.caSecret }}
- name: nats-ca
  secret:
    secretName: {{ .root.Values.nats.caSecret }}
{{- end }}
{{- range $tenant, $map := .root.Values.catalogs }}
- name: catalog-{{ $tenant | sha256sum | trunc 10 }}
  configMap:
    name: {{ $map }}
{{- end }}
{{- end }}

{{/* Where the canary connects: from outside, or to the gateways' Service. */}}
{{- define "tidings.canaryUrl" -}}
{{- .Values.canary.url | default (printf "ws://%s-gateway:%d/api/ws" (include "tidings.fullname" .) (int .Values.gateway.service.port)) }}
{{- end }}

{{/* At which port of the pods, or of what is in front. */}}
{{- define "tidings.canaryPort" -}}
{{- $url := urlParse .Values.canary.url }}
{{- if not .Values.canary.url }}8080
{{- else if regexMatch ":[0-9]+$" $url.host }}{{ regexFind "[0-9]+$" $url.host }}
{{- else }}{{ ternary "443" "80" (eq $url.scheme "wss") }}
{{- end }}
{{- end }}

{{/* What a schema cannot say: values that do not go together. */}}
{{- define "tidings.check" -}}
{{- range splitList "," .Values.nats.url }}
{{- if not (regexMatch "^(nats|tls)://[^@/ ]+$" .) }}
{{- fail (printf "nats.url has the address %q; each address is nats://host:port or tls://host:port, without user and password" .) }}
{{- end }}
{{- end }}
{{- if not (regexMatch "^(sha256:[0-9a-f]{64})?$" .Values.image.digest) }}
{{- fail (printf "image.digest is %q; a digest is sha256: and 64 hexadecimal digits" .Values.image.digest) }}
{{- end }}
{{- range .Values.gateway.trustedProxies }}
{{- if not (regexMatch "^[0-9a-fA-F.:]+(/[0-9]{1,3})?$" .) }}
{{- fail (printf "gateway.trustedProxies has %q; give addresses and networks, such as 10.0.0.0/8" .) }}
{{- end }}
{{- end }}
{{- range $tenant, $_ := .Values.catalogs }}
{{- if not (regexMatch "^[a-z0-9_-]+$" $tenant) }}
{{- fail (printf "catalogs has the tenant %q; a tenant's name has a-z, 0-9, _ and - only" $tenant) }}
{{- end }}
{{- end }}
{{- $scaling := .Values.gateway.autoscaling }}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) }}
{{- fail (printf "gateway.autoscaling.minReplicas is %d and maxReplicas %d; give the first no more than the second" (int $scaling.minReplicas) (int $scaling.maxReplicas)) }}
{{- end }}
{{- if and (eq $scaling.by "keda") (not $scaling.prometheusUrl) }}
{{- fail "gateway.autoscaling.by is keda, and gateway.autoscaling.prometheusUrl is empty; give the address at which KEDA reaches Prometheus, such as http://prometheus-operated.monitoring:9090" }}
{{- end }}
{{- if and (ne $scaling.by "none") (not .Values.metrics.enabled) }}
{{- fail (printf "gateway.autoscaling.by is %s, which needs metrics.enabled: true, since pods are added by the metric tidings_gateway_connections" $scaling.by) }}
{{- end }}
{{- if and (or .Values.metrics.serviceMonitor.enabled .Values.metrics.rules.enabled) (not .Values.metrics.enabled) }}
{{- fail "metrics.serviceMonitor and metrics.rules need metrics.enabled: true" }}
{{- end }}
{{- if and .Values.gateway.ingress.enabled (not .Values.gateway.ingress.host) }}
{{- fail "gateway.ingress.enabled is true, and gateway.ingress.host is empty; give the name that clients connect to" }}
{{- end }}
{{- if and .Values.gateway.httpRoute.enabled (not .Values.gateway.httpRoute.parentRefs) }}
{{- fail "gateway.httpRoute.enabled is true, and gateway.httpRoute.parentRefs is empty; name the Gateway that the route belongs to" }}
{{- end }}
{{- if and .Values.gateway.proxyProtocol (or .Values.gateway.ingress.enabled .Values.gateway.httpRoute.enabled) }}
{{- fail "gateway.proxyProtocol is true, so every connection needs a PROXY header, which an Ingress or an HTTPRoute does not send; set one of the two" }}
{{- end }}
{{- if and .Values.gateway.proxyProtocol (not .Values.gateway.trustedProxies) }}
{{- fail "gateway.proxyProtocol is true, and gateway.trustedProxies is empty; name the addresses of the balancer, as nobody else may send PROXY headers" }}
{{- end }}
{{- if and (not .Values.access.existingSecret) (not (contains "access.issuers" .Values.config)) }}
{{- fail "access.existingSecret is empty, and `config` has no [[access.issuers]]; give one of the two, as gateways have to verify tokens" }}
{{- end }}
{{- if and (eq $scaling.by "none") (ge (int .Values.gateway.podDisruptionBudget.maxUnavailable) (int .Values.gateway.replicas)) (gt (int .Values.gateway.replicas) 1) }}
{{- fail (printf "gateway.podDisruptionBudget.maxUnavailable is %d of %d replicas; give less, so that one stays" (int .Values.gateway.podDisruptionBudget.maxUnavailable) (int .Values.gateway.replicas)) }}
{{- end }}
{{- if .Values.canary.enabled }}
{{- if not (regexMatch "^[a-z0-9_-]+$" .Values.canary.tenant) }}
{{- fail (printf "canary.enabled is true, and canary.tenant is %q; name the tenant whose catalog has a message for canaries" .Values.canary.tenant) }}
{{- end }}
{{- if not .Values.access.existingSecret }}
{{- fail "canary.enabled is true, and access.existingSecret is empty; the canary signs its tokens with that secret" }}
{{- end }}
{{- if not .Values.metrics.enabled }}
{{- fail "canary.enabled needs metrics.enabled: true, as all that it finds are metrics" }}
{{- end }}
{{- if .Values.canary.url }}
{{- if not (regexMatch "^wss?://[^@/ ]+/api/ws$" .Values.canary.url) }}
{{- fail (printf "canary.url is %q; give where clients connect, such as wss://notify.example.com/api/ws" .Values.canary.url) }}
{{- end }}
{{- else if or .Values.gateway.proxyProtocol .Values.gateway.tls.existingSecret }}
{{- fail "canary.url is empty, and gateways expect a PROXY header or have a certificate for another name than their Service's; give where clients connect" }}
{{- end }}
{{- end }}
{{- end }}
