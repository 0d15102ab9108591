# One image for every part; docker-compose.yml says which program runs.
FROM python:3.11-bookworm AS compiler
WORKDIR /opt/tollbell
COPY requirements-compile.txt .
RUN pip install --no-cache-dir --require-hashes -r requirements-compile.txt
COPY sip_proxy sip_proxy
RUN python -m sip_proxy.compiled

FROM python:3.11-slim-bookworm
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 TOLLBELL_VAR=/var/lib/tollbell
WORKDIR /opt/tollbell
COPY requirements.txt .
RUN pip install --require-hashes -r requirements.txt
COPY alembic.ini ./
COPY alembic alembic
COPY billing_service billing_service
COPY sip_proxy sip_proxy
COPY admin_web admin_web
COPY --from=compiler /opt/tollbell/build build
RUN python -c "import sys, sip_proxy.compiled as c; sys.exit(not c.is_of_these_sources())"
RUN useradd --system --uid 900 tollbell && install -d -o tollbell -g tollbell -m 0750 /var/lib/tollbell
USER tollbell
VOLUME /var/lib/tollbell
CMD ["python", "-m", "billing_service", "serve"]
