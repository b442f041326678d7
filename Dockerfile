# Two images from one file:
#
#   docker build -t sierra_es .                              PostgreSQL with the extension
#   docker build -t sierra_es-extension --target extension . only the extension, for CloudNativePG
#
# --build-arg PG_MAJOR=17 takes another version, 15 to 18; CloudNativePG needs 18.
# --build-arg BASE=... takes another image that is made like postgres.
ARG PG_MAJOR=18
ARG BASE=postgres:${PG_MAJOR}

FROM ${BASE} AS build
USER root
RUN set -eux; \
    apt-get update; \
    apt-get install -y --no-install-recommends gcc libc6-dev make "postgresql-server-dev-$PG_MAJOR"
WORKDIR /usr/src/sierra_es
COPY Makefile sierra_es.control ./
COPY sql sql
COPY src src
COPY clients/message_store clients/message_store
RUN set -eux; \
    set -- PG_CONFIG="/usr/lib/postgresql/$PG_MAJOR/bin/pg_config" with_llvm=no; \
    make -j "$(nproc)" "$@"; \
    make install DESTDIR=/install "$@"; \
    mkdir -p /extension/lib /extension/share; \
    cp -r "/install/usr/lib/postgresql/$PG_MAJOR/lib/." /extension/lib/; \
    cp -r "/install/usr/share/postgresql/$PG_MAJOR/extension" /extension/share/

FROM scratch AS extension
COPY --from=build /extension/ /

FROM ${BASE}
COPY --from=build /install/ /
# New clusters preload the library, and their first database has the extension.
RUN set -eux; \
    echo "shared_preload_libraries = 'sierra_es'" >>"/usr/share/postgresql/$PG_MAJOR/postgresql.conf.sample"; \
    mkdir -p /docker-entrypoint-initdb.d; \
    echo "CREATE EXTENSION sierra_es;" >/docker-entrypoint-initdb.d/10-sierra_es.sql
