# SPDX-License-Identifier: Apache-2.0
# Trireme for processors: one image for SageMaker, Vertex AI, Azure ML, Kubernetes, Slurm and a laptop.
#
#   docker build -f docker/cpu.Dockerfile -t trireme .
#
# BASE     the Debian 12 that is compiled on and run on; for a build that can be repeated, name it with its digest
# PROGRAM  source: compiles what is in the context. installed: takes the folder `installed` of the context, which
#          `cmake --install` filled, as it is; the image then works only if that was built on the same Debian.
# VERSION  of Trireme, for the labels; the build fails when it is not the program's
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS program
ARG PROGRAM=source
RUN case "${PROGRAM}" in \
      installed) exit ;; \
      source) ;; \
      *) echo "PROGRAM is '${PROGRAM}': give source or installed" >&2; exit 2 ;; \
    esac; \
    apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      g++ cmake ninja-build libssl-dev libxxhash-dev zlib1g-dev libcli11-dev nlohmann-json3-dev libcurl4-openssl-dev \
      libprotobuf-dev protobuf-compiler
COPY . /source
RUN if [ "${PROGRAM}" = installed ]; then \
      test -x /source/installed/bin/trireme || \
        { echo "no program installed/bin/trireme in the context: cmake --install build/release --prefix installed" >&2; exit 2; }; \
      mv /source/installed /installed; exit; \
    fi; \
    cmake -S /source -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/usr/local \
      -DTRIREME_BUILD_TESTS=OFF -DTRIREME_BUILD_BENCH=OFF -DTRIREME_BUILD_EXAMPLES=OFF -DTRIREME_WITH_MPI=OFF && \
    cmake --build /build --target trireme_cli && \
    install -D --strip /build/bin/trireme /installed/bin/trireme && \
    install -D --mode=644 /source/LICENSE /installed/share/doc/Trireme/LICENSE

FROM ${BASE} AS image
# Shared libraries that the program loads, and the certificates of those it talks to. What the package manager writes
# about its own work (times, caches) would make every image another one.
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      ca-certificates libcurl4 libprotobuf-lite32 libssl3 libstdc++6 zlib1g && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/cache/ldconfig/* \
      /var/log/apt /var/log/dpkg.log /var/log/alternatives.log /tmp/* /var/tmp/*
COPY --from=program /installed/bin/trireme /usr/local/bin/trireme
COPY --from=program /installed/share/doc/Trireme/LICENSE /usr/local/share/doc/Trireme/LICENSE
ARG VERSION=0.1.0
RUN --mount=type=bind,source=docker/sbom,target=/run/sbom \
    test "$(trireme --version)" = "trireme ${VERSION}" && \
    mkdir -p /usr/local/share/trireme && \
    bash /run/sbom "${VERSION}" >/usr/local/share/trireme/sbom.spdx.json

LABEL org.opencontainers.image.title="Trireme" \
      org.opencontainers.image.description="Distributed training in C++: the same image on every platform" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# Serving; training opens its own ports among its hosts.
EXPOSE 8080
STOPSIGNAL SIGTERM
# Root, because SageMaker's folders belong to root; nothing here needs it, any other uid does as well.
HEALTHCHECK --interval=60s --timeout=20s --start-period=60s --retries=3 CMD ["/usr/local/bin/trireme", "doctor"]
ENTRYPOINT ["/usr/local/bin/trireme", "entry"]
CMD ["train"]
