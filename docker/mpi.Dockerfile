# SPDX-License-Identifier: Apache-2.0
# Trireme with Open MPI and sshd: for jobs that `mpirun` starts (Azure ML's distribution mpi, Kubeflow's MPIJob, clusters),
# and for collectives over MPI (TRIREME_ENGINE=mpi).
#
#   docker build -f docker/cpu.Dockerfile -t trireme . && docker build -f docker/mpi.Dockerfile -t trireme-mpi .
#
# IMAGE  Trireme without MPI, made of docker/cpu.Dockerfile from the same sources
# BASE   the Debian that IMAGE is made of
# There is no key in this image: sshd takes the job's own, which MPIJob mounts at /home/mpiuser/.ssh.
ARG BASE=docker.io/library/debian:bookworm-slim
ARG IMAGE=trireme

FROM ${BASE} AS module
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends gcc libc6-dev libopenmpi-dev
COPY src/engines/mpi/module.c src/engines/mpi/module_table.h /source/engines/mpi/
RUN mpicc -std=c11 -O2 -s -shared -fPIC -fvisibility=hidden -I/source /source/engines/mpi/module.c -o /libtrireme_mpi.so

FROM ${IMAGE} AS image
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends openmpi-bin openssh-client openssh-server && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/cache/ldconfig/* \
      /var/log/apt /var/log/dpkg.log /var/log/alternatives.log /tmp/* /var/tmp/* /etc/ssh/ssh_host_*
RUN mkdir -p /run/sshd && useradd --create-home --uid 1000 --shell /bin/bash mpiuser
COPY docker/mpi/sshd_config /home/mpiuser/.sshd_config
COPY docker/mpi/ssh_config /etc/ssh/ssh_config.d/trireme.conf
COPY --from=module /libtrireme_mpi.so /usr/local/lib/trireme/libtrireme_mpi.so
ARG VERSION=0.1.0
RUN --mount=type=bind,source=docker/sbom,target=/run/sbom \
    bash /run/sbom "${VERSION}" >/usr/local/share/trireme/sbom.spdx.json
LABEL org.opencontainers.image.title="Trireme with Open MPI"
EXPOSE 2222
