# The operator's image, for those who build images with Docker: the same files as in the image that
# `cargo xtask image` makes, and the same settings (a test compares them).
FROM rust:1.95-bookworm AS build
# pip fetches the C compiler, at a pinned version and checked against its checksum.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-pip \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# Builds the operator as a static program. Fetches the core from the Go module proxy, checks it
# against its pinned checksum, and compiles it.
RUN cargo xtask image --files /files

# The program contains the C library and the time zones, and writes no files. The image contains the
# certificate authorities, and neither a shell nor a loader.
FROM scratch
COPY --from=build /files /
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/keyloan/keyloan"]
CMD ["run", "--core=/keyloan/core.cwasm"]
