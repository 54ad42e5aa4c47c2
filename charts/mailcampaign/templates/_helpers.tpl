{{/* What the objects' names begin with. */}}
{{- define "mailcampaign.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "mailcampaign.operator" -}}
{{ include "mailcampaign.fullname" . }}-operator
{{- end -}}

{{- define "mailcampaign.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "mailcampaign.operator" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The Lease. One name for all releases: two operators in a namespace take turns instead of fighting. */}}
{{- define "mailcampaign.lease" -}}
mailcampaign-operator
{{- end -}}

{{- define "mailcampaign.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "mailcampaign.labels" -}}
{{ include "mailcampaign.selectorLabels" . }}
{{ include "mailcampaign.releaseLabels" . }}
{{- end -}}

{{- define "mailcampaign.releaseLabels" -}}
app.kubernetes.io/part-of: mailcampaign
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "mailcampaign.image" -}}
{{- $image := .Values.image -}}
{{- $tag := default .Chart.AppVersion $image.tag -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository $tag -}}
{{- end -}}
{{- end -}}

{{/* Brokers as one text with commas. */}}
{{- define "mailcampaign.bootstrapServers" -}}
{{- $brokers := .Values.kafka.bootstrapServers -}}
{{- if kindIs "slice" $brokers -}}{{- join "," $brokers -}}{{- else -}}{{- $brokers -}}{{- end -}}
{{- end -}}

{{/* The namespaces that are watched, with commas; none if it is all of them. */}}
{{- define "mailcampaign.namespaces" -}}
{{- if not .Values.clusterWide -}}
{{- prepend .Values.watchNamespaces .Release.Namespace | uniq | join "," -}}
{{- end -}}
{{- end -}}

{{/* What the operator does with campaigns and what it makes for them, where it watches. */}}
{{- define "mailcampaign.rules" -}}
- apiGroups: [mailcampaign.io]
  resources: [mailcampaigns]
  verbs: [get, list, watch, patch, update, delete]
- apiGroups: [mailcampaign.io]
  resources: [mailcampaigns/status]
  verbs: [patch, update]
# To own what it makes, where the API server asks for that right.
- apiGroups: [mailcampaign.io]
  resources: [mailcampaigns/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, update, delete]
# It lists and watches their metadata, to see that one changed, and reads the content of those that name a Kafka. RBAC can't tell the one from the other.
- apiGroups: [""]
  resources: [secrets, pods, persistentvolumeclaims]
  verbs: [get, list, watch]
# Why pods could not be made.
- apiGroups: [""]
  resources: [events]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, update, delete]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [get, patch, update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, update, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, update, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* Variables of the operator, the same in its test. */}}
{{- define "mailcampaign.env" -}}
- name: MAILCAMPAIGN_IMAGE
  value: {{ include "mailcampaign.image" . | quote }}
- name: MAILCAMPAIGN_IMAGE_PULL_POLICY
  value: {{ .Values.image.pullPolicy }}
{{- with .Values.image.pullSecrets }}
- name: MAILCAMPAIGN_IMAGE_PULL_SECRETS
  value: {{ join "," . | quote }}
{{- end }}
{{- with include "mailcampaign.namespaces" . }}
- name: MAILCAMPAIGN_NAMESPACES
  value: {{ . | quote }}
{{- end }}
- name: MAILCAMPAIGN_LEASE
  value: {{ include "mailcampaign.lease" . }}
{{- with include "mailcampaign.bootstrapServers" . }}
- name: KAFKA_BOOTSTRAP_SERVERS
  value: {{ . | quote }}
{{- end }}
{{- with .Values.kafka.existingSecret }}
- name: KAFKA_CONFIG
  value: /kafka/client.properties
- name: MAILCAMPAIGN_KAFKA_SECRET
  value: {{ . | quote }}
{{- end }}
- name: MAILCAMPAIGN_DELETION_DEADLINE
  value: {{ .Values.deletionDeadline | quote }}
- name: MAILCAMPAIGN_LISTEN
  value: ":8080"
- name: MAILCAMPAIGN_LOG_FORMAT
  value: {{ .Values.log.format }}
- name: RUST_LOG
  value: {{ .Values.log.level | quote }}
# glibc keeps less memory that nobody uses.
- name: MALLOC_ARENA_MAX
  value: "2"
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- end -}}

{{/* What the pods of the operator and of its test have in common. */}}
{{- define "mailcampaign.pod" -}}
serviceAccountName: {{ include "mailcampaign.serviceAccount" . }}
# It speaks with the API server; the pods of campaigns get no token.
automountServiceAccountToken: true
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
volumes:
  # Connections to Kafka that campaigns name in Secrets: the client library reads files. In memory, so that they are on no disk.
  - name: tmp
    emptyDir:
      medium: Memory
      sizeLimit: 16Mi
{{- with .Values.kafka.existingSecret }}
  - name: kafka
    secret:
      secretName: {{ . }}
      defaultMode: 0440
{{- end }}
{{- end -}}

{{/* What their containers have in common. */}}
{{- define "mailcampaign.container" -}}
image: {{ include "mailcampaign.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [mailcampaign-operator]
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
resources:
  {{- toYaml .Values.resources | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
env:
  {{- include "mailcampaign.env" . | nindent 2 }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- if .Values.kafka.existingSecret }}
  - name: kafka
    mountPath: /kafka
    readOnly: true
  {{- end }}
{{- end -}}
