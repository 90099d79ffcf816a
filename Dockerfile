# The image: one static binary on nothing. No shell, no package, no user but the one it runs as.
#
#   docker build -t hapax .
#   docker run --read-only --cap-drop ALL -p 8080:8080 -e OPENAI_API_KEY hapax
#
# The binary is linked against a static glibc, whose resolver reads /etc/hosts and asks the servers of /etc/resolv.conf
# by itself; other sources of names (NIS, mDNS) would need shared libraries and are not there. `scripts/image` builds
# and tries the same binary and root without a container engine.
#
# The whole build image, not the slim one: the allocator is built with make.
ARG BUILD=rust:1.95-bookworm
FROM ${BUILD} AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY src src
COPY scripts/build scripts/sbom scripts/
# What it is made of goes along, where scanners find it: /hapax.cdx.json.
RUN mkdir /root-of-image && scripts/build /root-of-image/hapax && scripts/sbom >/root-of-image/hapax.cdx.json
COPY deploy/image.yaml /root-of-image/etc/hapax/config.yaml

FROM scratch
COPY --from=build /root-of-image/ /
USER 65532:65532
ENV CONFIG_PATH=/etc/hapax/config.yaml
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=2s CMD ["/hapax", "health"]
ENTRYPOINT ["/hapax"]
CMD ["serve"]
