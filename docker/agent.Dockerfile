# The edge agent: no torch, not root. Build from the repository's root:
#   docker build -f docker/agent.Dockerfile -t canegrade/edge-agent .
# Behind a proxy with its own certificate authority, hand over its bundle:
#   --secret id=ca_bundle,src=/path/to/ca.crt

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements/agent.txt requirements/agent.txt
RUN python3 -m venv /opt/canegrade
RUN --mount=type=secret,id=ca_bundle,required=false \
    if [ -f /run/secrets/ca_bundle ]; then export PIP_CERT=/run/secrets/ca_bundle; fi; \
    /opt/canegrade/bin/pip install --no-cache-dir --require-hashes -r requirements/agent.txt
COPY pyproject.toml README.md LICENSE ./
COPY edge_agent edge_agent
RUN /opt/canegrade/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/canegrade canegrade
COPY --from=build /opt/canegrade /opt/canegrade
ENV PATH=/opt/canegrade/bin:$PATH PYTHONUNBUFFERED=1
USER canegrade
VOLUME /var/lib/canegrade
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/health/live', timeout=2)"]
ENTRYPOINT ["edge-agent"]
CMD ["run", "--config", "/etc/canegrade/station.yaml"]
