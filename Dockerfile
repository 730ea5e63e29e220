# vitd and vitctl on Debian 12. The last stage has no compiler and runs as an ordinary user.
#   docker build -t vitd .
#   docker run -p 127.0.0.1:50051:50051 -v vitd-state:/var/lib/vitd -v /srv/images:/data:ro vitd
# With LibTorch's CUDA build (5 GB more), for a host with an NVIDIA driver and the NVIDIA Container Toolkit:
#   docker build --build-arg CUDA=1 -t vitd:cuda .
#   docker run --gpus all ... vitd:cuda --device cuda

FROM debian:bookworm-slim AS build
# A folder or page of wheels that pip searches first, to build without PyPI.
ARG PIP_FIND_LINKS
# If not empty, LibTorch's CUDA build is used.
ARG CUDA=
WORKDIR /src
COPY scripts/bootstrap scripts/bootstrap
RUN scripts/bootstrap ${CUDA:+--cuda}
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY proto proto
COPY core core
COPY server server
COPY client client
COPY scripts/CMakeLists.txt scripts/*.cc scripts/
RUN cmake --preset release -DVIT_BUILD_TESTS=OFF -DVIT_BUILD_BENCH=OFF \
    && cmake --build build/release --target vitd vitctl \
    && cmake --install build/release --strip --prefix /opt/vitd

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y -qq --no-install-recommends \
      libabsl20220623 libgrpc++1.51 libjpeg62-turbo libopencv-core406 libopencv-imgproc406 libpng16-16 \
      libprometheus-cpp-core1.0 libprotobuf32 libspdlog1.10 libsqlite3-0 libssl3 libutf8proc2 libwebp7 zlib1g \
      >/dev/null \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 vitd \
    && useradd --system --uid 10001 --gid vitd --home-dir /var/lib/vitd --no-create-home --shell /usr/sbin/nologin vitd \
    && install -d -o vitd -g vitd -m 0750 /var/lib/vitd \
    && install -d /data
COPY --from=build /opt/vitd /usr/local
# Fails here if a library is missing.
RUN vitd --version && vitctl --version
USER 10001:10001
WORKDIR /var/lib/vitd
VOLUME /var/lib/vitd
# Set as environment variables, so that flags given to `docker run` override them.
# The last two are for NVIDIA's container runtime.
ENV VITD_STATE_DIR=/var/lib/vitd \
    VITD_DATA_ROOT=/data \
    VITD_LISTEN=0.0.0.0:50051 \
    VITD_METRICS_LISTEN=0.0.0.0:9108 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
EXPOSE 50051 9108
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["vitctl", "health"]
ENTRYPOINT ["vitd"]
