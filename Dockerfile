# The image: one static binary, and nothing else. It runs as nobody, with a read-only root, without a shell.
#
#   docker build -t wholenode .                                              from source, for this machine
#   docker buildx build --platform linux/amd64,linux/arm64 -t wholenode .    for both processors, compiled across
#   docker build --target prebuilt -f Dockerfile FOLDER                      from FOLDER/wholenode-amd64 or -arm64
#
# It needs BuildKit (Docker's own since 23.0) or buildah. Docker's classic builder can't read this file: it knows no build
# platform and no mounts.

# Debian 12 on purpose: the tests under old kernels are made with its C library.
ARG RUST_IMAGE=docker.io/library/rust:1.95.0-bookworm

FROM scratch AS bare
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="wholenode" \
      org.opencontainers.image.description="Everything the machine can say about itself, for Prometheus." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 65534:65534
EXPOSE 9100
ENTRYPOINT ["/wholenode"]

# Of what was compiled before. Its capabilities are those that the file has, which only root can give it.
FROM bare AS prebuilt
ARG TARGETARCH
COPY wholenode-${TARGETARCH} /wholenode

FROM --platform=${BUILDPLATFORM} ${RUST_IMAGE} AS compile
ARG TARGETARCH
WORKDIR /wholenode
# What is the same for every version of the source, first. Packages are those of the pinned Debian.
# hadolint ignore=DL3008,SC2086
RUN set -eu; \
    here=$(dpkg --print-architecture); \
    case "${TARGETARCH:=${here}}" in \
        amd64) machine=x86_64 package=x86-64 linker=CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER ;; \
        arm64) machine=aarch64 package=aarch64 linker=CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER ;; \
        *) echo "this image is for amd64 and arm64, not for ${TARGETARCH}" >&2; exit 1 ;; \
    esac; \
    packages=libcap2-bin; \
    echo "export CARGO_BUILD_TARGET=${machine}-unknown-linux-gnu" > /etc/wholenode.env; \
    if [ "${here}" != "${TARGETARCH}" ]; then \
        packages="${packages} gcc-${package}-linux-gnu libc6-dev-${TARGETARCH}-cross"; \
        echo "export ${linker}=${machine}-linux-gnu-gcc" >> /etc/wholenode.env; \
        rustup target add "${machine}-unknown-linux-gnu"; \
    fi; \
    apt-get update; \
    apt-get install -y --no-install-recommends ${packages}; \
    rm -rf /var/lib/apt/lists/*
COPY Cargo.toml Cargo.lock build.rs layout.ld layout.often.ld ./
COPY .cargo .cargo
COPY collectors collectors
# cargo wants to see what the manifest names.
COPY benches benches
COPY src src
# The cache is per processor, and holds the registry's crates too. The capabilities are permitted, not effective: a
# container that may not have them starts all the same, and the program raises those that it may have.
RUN --mount=type=cache,id=wholenode-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=wholenode-${TARGETARCH},target=/wholenode/target \
    set -eu; \
    . /etc/wholenode.env; \
    cargo build --release --locked; \
    mkdir /out; \
    cp "target/${CARGO_BUILD_TARGET}/release/wholenode" /out/wholenode; \
    setcap cap_dac_read_search,cap_sys_ptrace+p /out/wholenode

FROM bare
COPY --from=compile /out/wholenode /wholenode
