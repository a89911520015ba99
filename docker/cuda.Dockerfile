# SPDX-License-Identifier: Apache-2.0
# Trireme for hosts with NVIDIA GPUs: compiled with CUDA, on a CUDA run-time image, with NCCL. The driver is the host's; its
# container runtime brings it in. `train` computes on GPUs with --device cuda (TRIREME_HP_DEVICE=cuda), otherwise on processors; where
# there is no GPU the program starts too.
#
#   docker build -f docker/cuda.Dockerfile -t trireme-cuda .
#
# BUILD          an image with nvcc 12.8 or later, of the same distribution as BASE, that is compiled on
# BASE           an image with the CUDA run time that is run on; for production by digest
# PROGRAM        source: compiles what is in the context. installed: takes the folder `installed` of the context, as
#                docker/cpu.Dockerfile does; BUILD needs no nvcc then
# ARCHITECTURES  GPUs to compile kernels for, as CMAKE_CUDA_ARCHITECTURES
# NCCL           the package of NCCL in the repositories of BASE; empty (default): none is wanted, or BASE has it, as NVIDIA's do
#
# The target efa (--target efa) adds what AWS's Elastic Fabric Adapter wants, for p4d, p5 and their like: libfabric of the
# EFA installer and the plug-in aws-ofi-nccl. Which versions is the builder's to say, with their checksums:
#   EFA_URL, EFA_SHA256    the archive aws-efa-installer-….tar.gz
#   OFI_URL, OFI_SHA256    the archive of aws-ofi-nccl's release
# NCCL_PROTO, FI_PROVIDER and RDMAV_FORK_SAFE are left alone: the plug-in's own guidance since 1.7.
ARG BUILD=docker.io/nvidia/cuda:12.8.1-devel-ubuntu24.04
ARG BASE=docker.io/nvidia/cuda:12.8.1-runtime-ubuntu24.04

FROM ${BUILD} AS program
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
ARG ARCHITECTURES="80-real;90-real;100"
RUN if [ "${PROGRAM}" = installed ]; then \
      test -x /source/installed/bin/trireme || \
        { echo "no program installed/bin/trireme in the context: cmake --install build/cuda --prefix installed" >&2; exit 2; }; \
      mv /source/installed /installed; exit; \
    fi; \
    cmake -S /source -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/usr/local \
      -DTRIREME_BUILD_TESTS=OFF -DTRIREME_BUILD_BENCH=OFF -DTRIREME_BUILD_EXAMPLES=OFF -DTRIREME_WITH_MPI=OFF \
      -DTRIREME_WITH_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES="${ARCHITECTURES}" && \
    cmake --build /build --target trireme_cli && \
    install -D --strip /build/bin/trireme /installed/bin/trireme && \
    install -D --mode=644 /source/LICENSE /installed/share/doc/Trireme/LICENSE

FROM ${BASE} AS run-time
ARG NCCL=
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      bash ca-certificates libcurl4 libprotobuf-lite32 libssl3 libstdc++6 zlib1g ${NCCL} && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/cache/ldconfig/* \
      /var/log/apt /var/log/dpkg.log /var/log/alternatives.log /tmp/* /var/tmp/*
COPY --from=program /installed/bin/trireme /usr/local/bin/trireme
COPY --from=program /installed/share/doc/Trireme/LICENSE /usr/local/share/doc/Trireme/LICENSE
ARG VERSION=0.1.0
RUN --mount=type=bind,source=docker/sbom,target=/run/sbom \
    test "$(trireme --version)" = "trireme ${VERSION}" && \
    mkdir -p /usr/local/share/trireme && \
    bash /run/sbom "${VERSION}" >/usr/local/share/trireme/sbom.spdx.json
# What NVIDIA's container runtime is to bring in: the driver's libraries and nvidia-smi.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
LABEL org.opencontainers.image.title="Trireme for CUDA" \
      org.opencontainers.image.description="Distributed training in C++: the same image on every platform" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=60s --timeout=20s --start-period=60s --retries=3 CMD ["/usr/local/bin/trireme", "doctor"]
ENTRYPOINT ["/usr/local/bin/trireme", "entry"]
CMD ["train"]

FROM run-time AS efa
ARG EFA_URL
ARG EFA_SHA256
ARG OFI_URL
ARG OFI_SHA256
RUN : "${EFA_URL:?} ${EFA_SHA256:?} ${OFI_URL:?} ${OFI_SHA256:?}" && \
    apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      autoconf automake build-essential curl libhwloc-dev libtool pciutils && \
    mkdir /tmp/efa /tmp/ofi && cd /tmp && \
    curl --fail --location --silent --show-error --output efa.tar.gz "${EFA_URL}" && \
    curl --fail --location --silent --show-error --output ofi.tar.gz "${OFI_URL}" && \
    printf '%s  %s\n' "${EFA_SHA256}" efa.tar.gz "${OFI_SHA256}" ofi.tar.gz | sha256sum --check && \
    tar --extract --gzip --file=efa.tar.gz --directory=efa --strip-components=1 && \
    tar --extract --gzip --file=ofi.tar.gz --directory=ofi --strip-components=1 && \
    (cd efa && ./efa_installer.sh --yes --skip-kmod --skip-limit-conf --no-verify) && \
    (cd ofi && ./configure --prefix=/usr/local --with-libfabric=/opt/amazon/efa --with-cuda=/usr/local/cuda \
      --enable-platform-aws && make --jobs="$(nproc)" install) && \
    ldconfig && rm -rf /tmp/* /var/lib/apt/lists/*
RUN --mount=type=bind,source=docker/sbom,target=/run/sbom \
    bash /run/sbom "$(trireme --version | cut -d' ' -f2)" >/usr/local/share/trireme/sbom.spdx.json

# What is built when no target is named.
FROM run-time AS image
