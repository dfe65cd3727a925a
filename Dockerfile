# The two images of this system: targets `control-plane` and `sidecar`. Before: npm ci --ignore-scripts && npm run build
# Both hold a runtime, its libraries and bundled programs, and no shell. BASE is any Debian 12 or its like; only the build sees it.
ARG BASE=debian:bookworm-slim@sha256:96e378d7e6531ac9a15ad505478fcc2e69f371b10f5cdf87857c4b8188404716

# On the processor of the builder, whatever the images are for: nothing of the other one is started.
FROM --platform=$BUILDPLATFORM ${BASE} AS parts
ARG TARGETARCH
COPY tools/image-parts.sh /
RUN sh /image-parts.sh packages "${TARGETARCH:-$(dpkg --print-architecture)}"
COPY node_modules /node_modules
RUN sh /image-parts.sh roots "${TARGETARCH:-$(dpkg --print-architecture)}"

# Runs `/app/webhook.cjs`, `/app/controller.cjs` or `/app/broker.cjs`; the chart says which. `/app/kubectl-aad_pod_identity.cjs` is the kubectl plugin.
FROM scratch AS control-plane
COPY --from=parts /control-plane /
COPY LICENSE /licenses/
COPY dist/control-plane.licenses.txt /licenses/THIRD_PARTY_LICENSES
COPY dist/webhook.cjs dist/controller.cjs dist/broker.cjs dist/kubectl-aad_pod_identity.cjs /app/
USER 65532:65532
WORKDIR /app
ENTRYPOINT ["/usr/local/bin/node"]
CMD ["/app/controller.cjs"]

# Bun without its JIT: less memory after load, no writable-executable page. The working directory is empty since Bun reads settings from it.
FROM scratch AS sidecar
COPY --from=parts /sidecar /
COPY LICENSE /licenses/
COPY dist/sidecar.licenses.txt /licenses/THIRD_PARTY_LICENSES
COPY dist/sidecar.js /app/
ENV BUN_JSC_useJIT=0 PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
USER 25790:25790
WORKDIR /empty
ENTRYPOINT ["/usr/local/bin/bun", "--smol", "--no-env-file", "/app/sidecar.js"]
