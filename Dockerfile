# Cooper's image, one for all roles. Wheels come from the index that pip is configured for; what lies in wheels/ is taken
# as well, and alone with --build-arg PIP_NO_INDEX=1. Any builder will do.
#
# BASE_IMAGE needs Python 3.11 or newer with its OpenSSL, and nothing else. BUILD_IMAGE has the same Python, with venv and
# pip; and a C compiler, Python's headers and OpenSSL's, or else a Debian's apt-get to fetch them.
ARG BASE_IMAGE=python:3.13-slim-bookworm
ARG BUILD_IMAGE=${BASE_IMAGE}

FROM ${BUILD_IMAGE} AS dependencies
ARG PIP_INDEX_URL
ARG PIP_NO_INDEX
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_FIND_LINKS=/build/wheels/
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/cooper
COPY requirements-run.lock requirements-build.lock wheels* /build/wheels/
RUN /build/bin/pip install --quiet --no-deps --require-hashes -r /build/wheels/requirements-build.lock
# Of the Kubernetes client only the transport is used. Its classes for all kinds and calls, loaded when named, are 120 MB.
RUN /build/bin/pip --python /opt/cooper/bin/python install --quiet --no-compile --no-deps --require-hashes \
        -r /build/wheels/requirements-run.lock && \
    find /opt/cooper/lib -regex '.*/kubernetes/\(aio/\)?client/\(api\|models\)/[^_/][^/]*\.py' -delete && \
    /opt/cooper/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/cooper/lib

FROM dependencies AS program
RUN command -v cc || { apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev libssl-dev; }
COPY LICENSE README.md pyproject.toml hatch_build.py /source/
COPY crds /source/crds
COPY operator /source/operator
COPY gateway /source/gateway
COPY cli /source/cli
RUN COOPER_NATIVE=1 /build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheel /source && \
    /build/bin/pip --python /opt/cooper/bin/python install --quiet --no-compile --no-deps --root /program /wheel/*.whl && \
    /opt/cooper/bin/python -m compileall -q --invalidation-mode unchecked-hash -s /program /program/opt && \
    mkdir /data

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="Cooper" org.opencontainers.image.licenses="Apache-2.0"
# The standard library as well: some Pythons come without its bytecode, and nothing can be written at run time.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash -x '/(site-packages|dist-packages|lib2to3|tests?)/' \
        "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=dependencies /opt/cooper /opt/cooper
COPY --from=program /program/ /
COPY --from=program --chown=65532:65532 /data /data
ENV PATH=/opt/cooper/bin:${PATH} PYTHONDONTWRITEBYTECODE=1
# A number, so that a cluster sees that it is not root. No account is needed: any other number does as well.
USER 65532:65532
# Data goes below the current folder unless an option says otherwise. A new named volume gets the folder's owner.
WORKDIR /data
ENTRYPOINT ["cooper"]
