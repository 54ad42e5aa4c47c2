# The image of everything that runs on a cluster; each container names the program that it wants.
#
#   docker build --tag mailcampaign .                                   builds the programs, then the image
#   docker build --build-arg BASE=my/base .                             on another base: glibc is all that it must have
#
# Programs that are built already are taken from the folder `programs`, if there is one. Nothing is fetched then, and any image does as BUILDER:
# `cargo xtask cluster install` makes it so.
ARG BUILDER=rust:1.95-bookworm
ARG BASE=debian:bookworm-slim

FROM ${BUILDER} AS build
WORKDIR /source
COPY . .
RUN set -eu; \
    mkdir /programs; \
    if [ -d programs ]; then cp programs/* /programs/; exit 0; fi; \
    cargo build --locked --release --package producer --package worker --package operator --package cli; \
    cd target/release; \
    cp mailcampaign-producer mailcampaign-worker mailcampaign-operator mailcampaign /programs/

FROM ${BASE}
LABEL org.opencontainers.image.title="MailCampaign" \
      org.opencontainers.image.licenses="Apache-2.0"
# The authorities that mail servers' certificates are checked against.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /programs/ /usr/local/bin/
# A number, so that Kubernetes can see that it isn't root.
USER 65532:65532
WORKDIR /
