# The whole project with MXNet for the CPU, on x86-64 and arm64 (Apple's processors too); docs/INSTALL.md says how.
#   docker build -t bookcnn .
#   docker run --rm bookcnn bookcnn list
FROM debian:12-slim

# What MXNet's wheels look for in the system: libgomp1 and, on arm64, BLAS and LAPACK, else libquadmath0.
RUN case "$(dpkg --print-architecture)" in \
        arm64) wanted='liblapacke libopenblas0-pthread' ;; \
        *) wanted=libquadmath0 ;; \
    esac \
    && apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git libgomp1 make python3 python3-venv $wanted \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home book \
    && install -d -o book -g book /home/book/bookcnn /home/book/bookcnn/runs

USER book
WORKDIR /home/book/bookcnn
ENV PATH=/home/book/bookcnn/.venv/bin:$PATH

# The packages first: they are installed again only when the lock changes, not with every line of code.
COPY --chown=book requirements requirements
COPY --chown=book Makefile ./
RUN PIP_NO_CACHE_DIR=1 make setup

COPY --chown=book . .
CMD ["bookcnn", "list"]
