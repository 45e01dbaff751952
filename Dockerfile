# One image for every process of the service: the command says which (see docker-compose.yml).

FROM python:3.13-slim AS build
WORKDIR /build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The packages first: they change less often than the code. What builds the wheel stays behind in this stage.
COPY requirements requirements
RUN python -m venv /opt/trueup && /opt/trueup/bin/pip install --require-hashes -r requirements/runtime.txt \
    && python -m venv /opt/build && /opt/build/bin/pip install --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY connectors connectors
COPY worker worker
COPY docs/operations docs/operations
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
    && /opt/trueup/bin/pip install --no-deps /tmp/wheel/*.whl

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/trueup trueup
COPY --from=build /opt/trueup /opt/trueup
ENV PATH="/opt/trueup/bin:$PATH" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER trueup
WORKDIR /var/lib/trueup
ENTRYPOINT ["trueup"]
CMD ["--help"]
