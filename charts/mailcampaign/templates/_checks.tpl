{{/* What the schema can't say. Each mistake ends the installation with a sentence about what to set. */}}
{{- define "mailcampaign.checks" -}}
{{- $kafka := .Values.kafka -}}
{{- if and (not $kafka.bootstrapServers) (not $kafka.existingSecret) -}}
{{- fail "no Kafka is named: set kafka.bootstrapServers to HOST:PORT of your brokers, or kafka.existingSecret to a Secret whose client.properties has bootstrap.servers" -}}
{{- end -}}
{{- if not .Values.image.repository -}}
{{- fail "no image is named: build it from the project's Dockerfile, push it where your cluster pulls from, and set image.repository (and image.tag)" -}}
{{- end -}}
{{- if and .Values.clusterWide .Values.watchNamespaces -}}
{{- fail "clusterWide: true watches every namespace: leave out watchNamespaces, or set clusterWide to false" -}}
{{- end -}}
{{- $set := dict -}}
{{- range include "mailcampaign.env" . | fromYamlArray -}}
{{- $_ := set $set .name true -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if hasKey $set .name -}}
{{- fail (printf "extraEnv: %s is set by this chart from a value of its own (see `helm show values`), or stands here twice: leave it out" .name) -}}
{{- end -}}
{{- $_ := set $set .name true -}}
{{- end -}}
{{- $policy := .Values.networkPolicy -}}
{{- if and $policy.enabled $policy.egress.enabled (not $kafka.bootstrapServers) (not $policy.egress.kafkaPorts) -}}
{{- fail "networkPolicy.egress would close the way to Kafka: set networkPolicy.egress.kafkaPorts to the ports of the brokers that kafka.existingSecret names" -}}
{{- end -}}
{{- end -}}
