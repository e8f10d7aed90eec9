{{/* The pods of a shard's projectors or dispatchers: one leads, the others stand by. */}}
{{- define "tidings.ofShard" -}}
{{- $values := .values }}
{{- $name := printf "%s-%s-%d" (include "tidings.fullname" .root) .component (int .shard) }}
{{- $own := printf "app.kubernetes.io/component: %s\ntidings/shard: \"%d\"" .component (int .shard) }}
{{- $selector := printf "%s\n%s" (include "tidings.selector" .root) $own }}
{{- $labels := printf "%s\n%s" (include "tidings.labels" .root) $own }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels: {{- $labels | nindent 4 }}
spec:
  replicas: {{ $values.replicas }}
  # One that cannot reach NATS has ended by then.
  minReadySeconds: 15
  revisionHistoryLimit: 3
  strategy:
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  selector:
    matchLabels: {{- $selector | nindent 6 }}
  template:
    metadata:
      labels: {{- $labels | nindent 8 }}
      annotations:
        checksum/config: {{ $.root.Values.config | sha256sum }}
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "tidings.podSecurity" .root | nindent 6 }}
      # It ends within ten seconds.
      terminationGracePeriodSeconds: 20
      {{- include "tidings.spread" (dict "root" .root "labels" $selector) | nindent 6 }}
      containers:
        - name: {{ .component }}
          image: {{ include "tidings.image" .root }}
          imagePullPolicy: {{ $.root.Values.image.pullPolicy }}
          args: [{{ .component }}]
          {{- include "tidings.containerSecurity" .root | nindent 10 }}
          env:
            {{- include "tidings.environment" (dict "root" .root) | nindent 12 }}
            - name: TIDINGS_{{ upper .component }}__SHARD
              value: {{ int .shard | quote }}
            {{- with $values.env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          {{- if $.root.Values.metrics.enabled }}
          ports:
            - name: metrics
              containerPort: 9464
          # It answers as long as the process works, also while it stands by.
          livenessProbe:
            httpGet:
              path: /metrics
              port: metrics
            initialDelaySeconds: 15
            periodSeconds: 15
            timeoutSeconds: 5
            failureThreshold: 6
          {{- end }}
          resources: {{- toYaml $values.resources | nindent 12 }}
          volumeMounts:
            {{- include "tidings.mounts" (dict "root" .root) | nindent 12 }}
            {{- with $values.volumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        {{- include "tidings.volumes" (dict "root" .root "key" .key) | nindent 8 }}
        {{- with $values.volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $values.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  labels: {{- $labels | nindent 4 }}
spec:
  # One of each shard stays, to lead.
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- $selector | nindent 6 }}
{{- end }}
